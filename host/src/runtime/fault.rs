//! What the engine says when a call ends badly, in the terms of `Fault`.

use wasmtime::{FrameInfo, PoolConcurrencyLimitError, Store, Trap, WasmBacktrace, component::ResourceTableError};

use super::{
    Fault,
    bindings::coffer::plugin::types as wit,
    imports::Log,
    sandbox::Sandbox,
    stats::Trapped,
    types::{GuestError, REFUSALS},
};
use crate::{limits, problem::Problem};

/// Frames of a trap that are told to the operator.
const FRAMES: usize = 16;

/// More text than this is not searched for secrets, and so not told.
const SEARCHED: usize = 64 << 10;

/// The answer, if there is one; an error of the plugin always wins.
pub(super) fn answered<T>(
    store: &mut Store<Sandbox>,
    answer: wasmtime::Result<Result<T, wit::Error>>,
) -> Result<T, Fault> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault::Refused(refusal(&mut store.data_mut().log, error))),
        Err(error) => Err(stopped(store, error)),
    }
}

pub(super) fn stopped(store: &mut Store<Sandbox>, error: wasmtime::Error) -> Fault {
    // Before anything else: they are lost with the error.
    let frames = frames(&error);
    let trap = error.downcast_ref::<Trap>().copied();
    let fault = meaning(store.data_mut(), error, &frames);
    let kind = trap.map_or("host", kind);
    if trap.is_some() || !frames.is_empty() {
        store.data_mut().trapped = Some(Trapped { kind, frames });
    }
    fault
}

fn meaning(sandbox: &mut Sandbox, error: wasmtime::Error, frames: &[String]) -> Fault {
    let error = match error.downcast::<Fault>() {
        Ok(fault) => return fault,
        Err(error) => error,
    };
    if let Some(what) = sandbox.usage.refused {
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
        Some(trap) => Fault::Trap(frames.iter().fold(trap.to_string(), |told, frame| told + " < " + frame)),
        // Beyond traps there is what the ABI finds wrong: strings that are not UTF-8, lists that
        // lie outside of the memory, too much data at once.
        None => {
            let cause = format!("{:#}", error.root_cause());
            Fault::Invalid(told(&mut sandbox.log, &cause).unwrap_or_default())
        }
    }
}

/// Names of functions from the component itself. Files and lines are left in peace: to find them
/// the host would have to read what the plugin's author says about them.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &FrameInfo| {
        let known = frame.func_name().map(|name| shortened(&format!("{:#}", rustc_demangle::demangle(name))));
        known.unwrap_or_else(|| format!("function {}", frame.func_index()))
    };
    trace.frames().iter().take(FRAMES).map(name).collect()
}

fn kind(trap: Trap) -> &'static str {
    match trap {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => "memory",
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => "call",
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => "number",
        Trap::CannotEnterComponent => "reentered",
        _ => "other",
    }
}

/// The plugin's error without the secrets of this call, cut to measure. What stands in place of
/// a code is not one: `internal`.
fn refusal(log: &mut Log, error: wit::Error) -> GuestError {
    let is_code = |code: &str| {
        !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_')
    };
    let mut problems = Vec::new();
    for problem in error.problems.into_iter().take(limits::PLUGIN_PROBLEMS) {
        let code = problem.code;
        // A place or a code with a hole in it would be another one.
        let whole = |log: &mut Log, text: &str| told(log, text).is_some_and(|told| told == text);
        let at = if whole(log, &problem.at) { problem.at } else { String::new() };
        let code = if is_code(&code) && whole(log, &code) { code } else { "invalid_value".to_owned() };
        let message = told(log, &problem.message).unwrap_or_else(|| "is not valid".to_owned());
        problems.push(Problem { at, code: code.into(), message: message.into() });
    }
    // Of other codes nothing is known, not even that they are no secret.
    let known = REFUSALS.contains(&error.code.as_str());
    let code = if known || (is_code(&error.code) && told(log, &error.code).as_ref() == Some(&error.code)) {
        error.code
    } else {
        "internal".to_owned()
    };
    GuestError {
        code,
        message: told(log, &error.message).unwrap_or_default(),
        problems,
        retry_after: error.retry_after_ms.map(|millis| std::time::Duration::from_millis(millis.into())),
    }
}

/// An engine's answer is what it is; its warnings are text of the guest's like any other.
pub(super) fn filtered(store: &mut Store<Sandbox>, warnings: Vec<String>) -> Vec<String> {
    let log = &mut store.data_mut().log;
    // Too many are refused as they are.
    match warnings.len() <= limits::PLUGIN_NOTES {
        true => warnings.iter().map(|text| told(log, text).unwrap_or_else(|| "[withheld]".to_owned())).collect(),
        false => warnings,
    }
}

/// Text of a guest, filtered and then cut; none if it cannot be filtered.
fn told(log: &mut Log, text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    if text.len() > SEARCHED {
        return None;
    }
    Some(shortened(&log.filtered(text)?))
}

pub(super) fn shortened(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(limits::PLUGIN_TEXT_BYTES)];
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(input: &str) -> Log {
        Log::new(1 << 10, vec![input.as_bytes().to_vec().into()])
    }

    fn error(code: &str, message: &str, problems: &[(&str, &str, &str)]) -> wit::Error {
        let problem = |(at, code, message): &(&str, &str, &str)| wit::Problem {
            at: (*at).to_owned(),
            code: (*code).to_owned(),
            message: (*message).to_owned(),
        };
        wit::Error {
            code: code.to_owned(),
            message: message.to_owned(),
            problems: problems.iter().map(problem).collect(),
            retry_after_ms: None,
        }
    }

    #[test]
    fn an_error_tells_none_of_its_calls_secrets_wherever_they_are_put() {
        let mut log = log(r#"{"password":"swordfish","data":{"conflict":"conflict"}}"#);
        let problems = [("/data/swordfish", "swordfish", "swordfish is bad"), ("/password", "too_short", "is short")];
        let long = format!("{}swordfish", "x".repeat(limits::PLUGIN_TEXT_BYTES - 4));
        let told = refusal(&mut log, error("swordfish", &long, &problems));
        let text = format!("{told:?}");
        assert!(!text.contains("swordf") && !text.contains("xswor"), "{text}");
        assert_eq!(told.code, "internal");
        assert_eq!((told.problems[0].at.as_str(), &*told.problems[0].code), ("", "invalid_value"));
        assert_eq!((told.problems[1].at.as_str(), &*told.problems[1].code), ("/password", "too_short"));
        // A word of the contract is no secret, even if somebody's secret is that word.
        assert_eq!(refusal(&mut log, error("conflict", "", &[])).code, "conflict");
        assert_eq!(refusal(&mut log, error("acme-limit", "", &[])).code, "acme-limit");
    }

    #[test]
    fn however_much_an_error_says_it_is_searched_only_so_far() {
        let secrets: Vec<String> = (0..256).map(|i| format!("\"secret-{i:03}\"")).collect();
        let mut log = log(&format!("[{}]", secrets.join(",")));
        let long = "x".repeat(SEARCHED);
        let problems = vec![(&*long, "bad", &*long); limits::PLUGIN_PROBLEMS];
        let told = refusal(&mut log, error("invalid", "the last words", &problems));
        assert!(told.problems.iter().all(|problem| &*problem.message == "is not valid"));
        assert_eq!(told.message, "", "what is searched no more is not told");
        assert_eq!(log.filtered("secret-007"), None);
    }

    #[test]
    fn of_a_call_with_a_few_secrets_all_problems_are_told() {
        let mut log = log(r#"{"username":"ada.lovelace","password":"hunter22","note":"one\ntwo and three"}"#);
        let message = "is wrong. ".repeat(100);
        let problems = vec![("/data/member", "bad", &*message); limits::PLUGIN_PROBLEMS];
        let told = refusal(&mut log, error("invalid", &message, &problems));
        assert!(told.problems.iter().all(|problem| *problem.message == message && problem.at == "/data/member"));
        assert_eq!(told.message, message);
    }

    #[test]
    fn what_cannot_be_filtered_is_not_told() {
        let many: Vec<String> = (0..300).map(|i| format!("\"secret-{i}\"")).collect();
        let mut many = log(&format!("[{}]", many.join(",")));
        let told = refusal(&mut many, error("invalid", "secret-7", &[("/7", "bad", "secret-7")]));
        assert_eq!((told.code.as_str(), told.message.as_str()), ("invalid", ""));
        assert_eq!(&*told.problems[0].message, "is not valid");
        let told = refusal(&mut log("{}"), error("invalid", &"x".repeat(1 << 20), &[]));
        assert_eq!(told.message, "");
    }
}
