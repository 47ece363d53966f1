mod bench;
mod hostile;
mod kit;
mod plain;
