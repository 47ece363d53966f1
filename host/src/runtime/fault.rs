//! What the engine says when a call ends badly, in the terms of `Fault`.

use wasmtime::{PoolConcurrencyLimitError, Store, Trap, WasmBacktrace, component::ResourceTableError};

use super::{Fault, bindings::coffer::plugin::types as wit, sandbox::Sandbox, types::GuestError};
use crate::{limits, problem::Problem};

/// Frames of a trap that are told to the operator.
const FRAMES: usize = 16;

/// The answer, if there is one; an error of the plugin always wins.
pub(super) fn answered<T>(store: &Store<Sandbox>, answer: wasmtime::Result<Result<T, wit::Error>>) -> Result<T, Fault> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault::Refused(refusal(error))),
        Err(error) => Err(stopped(store, error)),
    }
}

pub(super) fn stopped(store: &Store<Sandbox>, error: wasmtime::Error) -> Fault {
    let error = match error.downcast::<Fault>() {
        Ok(fault) => return fault,
        Err(error) => error,
    };
    if let Some(what) = store.data().usage.refused {
        return Fault::Limit(what);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Busy;
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Fault::Limit("handles");
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::Limit("stack"),
        Some(trap) => Fault::Trap(format!("{trap}{}", frames(&error))),
        // Beyond traps there is what the ABI finds wrong: strings that are not UTF-8, lists that
        // lie outside of the memory, too much data at once.
        None => Fault::Invalid(shortened(&format!("{:#}", error.root_cause()))),
    }
}

fn frames(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names = trace.frames().iter().take(FRAMES).filter_map(|frame| frame.func_name());
    names.map(|name| format!(" < {}", shortened(name))).collect()
}

/// The plugin's error, cut to measure. What stands in place of a code is not one: `internal`.
fn refusal(error: wit::Error) -> GuestError {
    let is_code = |code: &str| {
        !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_')
    };
    let problem = |problem: wit::Problem| Problem {
        at: shortened(&problem.at),
        code: if is_code(&problem.code) { problem.code.into() } else { "invalid_value".into() },
        message: shortened(&problem.message).into(),
    };
    GuestError {
        code: if is_code(&error.code) { error.code } else { "internal".to_owned() },
        message: shortened(&error.message),
        problems: error.problems.into_iter().take(limits::PLUGIN_PROBLEMS).map(problem).collect(),
        retry_after: error.retry_after_ms.map(|millis| std::time::Duration::from_millis(millis.into())),
    }
}

pub(super) fn shortened(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(limits::PLUGIN_TEXT_BYTES)];
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
