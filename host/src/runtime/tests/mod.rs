mod bench;
mod crowd;
mod hostile;
mod plain;
mod refused;
mod shipped;
