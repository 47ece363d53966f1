mod bench;
mod hostile;
mod plain;
mod refused;
