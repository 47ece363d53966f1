mod bench;
mod hostile;
mod plain;
