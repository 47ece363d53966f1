//! The operator's log. Never a secret.

pub use crate::bindings::coffer::plugin::log::Level;
use crate::{Field, host};

pub fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    let field = |(name, value): &(&str, &str)| Field { name: (*name).to_owned(), value: (*value).to_owned() };
    host::current().emit(level, message, &fields.iter().map(field).collect::<Vec<_>>());
}

pub fn debug(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Debug, message, fields);
}

pub fn info(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Info, message, fields);
}

pub fn warn(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Warn, message, fields);
}

pub fn error(message: &str, fields: &[(&str, &str)]) {
    emit(Level::Error, message, fields);
}
