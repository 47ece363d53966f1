mod bench;
mod crowd;
mod golden;
mod hostile;
mod plain;
mod refused;
mod shipped;
