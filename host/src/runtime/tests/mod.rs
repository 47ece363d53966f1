mod hostile;
mod kit;
mod plain;
