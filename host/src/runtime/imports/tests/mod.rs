mod crypto;
mod log;
mod outside;
mod storage;

use super::super::{Fault, sandbox::Stop};

/// The code of an error that the plugin is told.
fn told<T: std::fmt::Debug>(result: Result<T, Stop>) -> String {
    match result {
        Err(Stop::Told(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

fn halted<T: std::fmt::Debug>(result: Result<T, Stop>) -> Fault {
    match result {
        Err(Stop::Halt(fault)) => fault,
        other => panic!("{other:?}"),
    }
}
