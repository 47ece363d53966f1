use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{
    super::{forms, sandbox::Sandbox, stats::Line, types::Bytes},
    wit::{
        log::{Host, Level},
        types::Field,
    },
};
use crate::limits;

/// The log of one call: so many bytes, and none of the secrets that the call was given.
pub(in crate::runtime) struct Log {
    left: usize,
    /// Bytes that may still be searched for secrets, counted once for each secret.
    searches: usize,
    /// What came in, JSON each.
    inputs: Vec<Bytes>,
    /// The strings in it, once a line is written.
    secrets: Option<Secrets>,
    printed: Printed,
}

/// What was printed and not yet logged: at most what the call may log.
#[derive(Clone)]
pub(super) struct Printed {
    bytes: Arc<Mutex<Zeroizing<Vec<u8>>>>,
    most: usize,
}

impl Printed {
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.most.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }

    /// Of more than there is room for, the last line is left out: what it was cut from may be a
    /// secret, which nobody would know by its head.
    fn take(&self) -> Zeroizing<Vec<u8>> {
        let mut taken = std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.len() >= self.most {
            let whole = taken.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            taken.truncate(whole);
        }
        taken
    }
}

enum Secrets {
    Known(Vec<Zeroizing<String>>),
    /// More than can be searched for.
    TooMany,
}

/// Shorter ones would blank out half of every line.
const SHORTEST: usize = 6;

impl Log {
    pub(in crate::runtime) fn new(bytes: usize, inputs: Vec<Bytes>) -> Self {
        let printed = Printed { bytes: Arc::default(), most: bytes };
        Self { left: bytes, searches: limits::PLUGIN_SEARCHED_BYTES, inputs, secrets: None, printed }
    }

    /// The text without the call's secrets; None if nothing may be said. Nothing interrupts this, so a call has only so
    /// much of it, whatever it fails with.
    pub(in crate::runtime) fn filtered(&mut self, text: &str) -> Option<String> {
        let inputs = &self.inputs;
        let secrets = self.secrets.get_or_insert_with(|| find_secrets(inputs));
        let Secrets::Known(secrets) = secrets else { return None };
        let mut text = text.to_owned();
        for secret in secrets {
            if secret.len() > text.len() {
                continue;
            }
            let left = self.searches.checked_sub(text.len());
            self.searches = left.unwrap_or(0);
            left?;
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[secret]");
            }
        }
        // One line stays one line, whatever a guest puts into it.
        Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    /// Is there none of the call's secrets in it?
    pub(super) fn may_say(&mut self, text: &str) -> bool {
        self.filtered(text).is_some_and(|filtered| filtered == text)
    }

    /// Filtered, and only then cut to size: the head of a secret would not be known for one.
    fn shown(&mut self, text: &str) -> Option<String> {
        let mut text = self.filtered(text)?;
        text.truncate(text.floor_char_boundary(limits::PLUGIN_LOG_MESSAGE_BYTES));
        Some(text)
    }

    fn fields(&mut self, fields: Vec<Field>) -> Option<String> {
        let some = fields.iter().take(limits::PLUGIN_LOG_FIELDS);
        let told = some.map(|field| Some(format!("{}={}", self.shown(&field.name)?, self.shown(&field.value)?)));
        Some(told.collect::<Option<Vec<String>>>()?.join(" "))
    }

    pub(super) fn printed(&self) -> Printed {
        self.printed.clone()
    }

    /// Takes from what the call may log; false once it has been used up.
    fn spend(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.left = 0,
        }
        self.left > 0
    }
}

impl Host for Sandbox {
    fn emit(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        let message = Zeroizing::new(message);
        let size = fields.iter().fold(message.len(), |size, field| size + field.name.len() + field.value.len());
        self.flush_log();
        if !self.log.spend(size.max(1)) {
            return Ok(());
        }
        let filtered = self.log.shown(&message).zip(self.log.fields(fields));
        let (text, fields) = filtered.unwrap_or_else(|| ("[withheld]".to_owned(), String::new()));
        self.write(level, &text, &fields);
        Ok(())
    }
}

impl Sandbox {
    /// Standard output and error, line by line, at `info`.
    pub(in crate::runtime) fn flush_log(&mut self) {
        let printed = self.log.printed.take();
        for line in printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if !self.log.spend(line.len()) {
                return;
            }
            self.print_line(line);
        }
    }

    fn print_line(&mut self, line: &[u8]) {
        let line = Zeroizing::new(String::from_utf8_lossy(line).into_owned());
        let text = self.log.shown(line.trim_end()).unwrap_or_else(|| "[withheld]".to_owned());
        if !text.is_empty() {
            self.write(Level::Info, &text, "");
        }
    }

    fn write(&self, level: Level, text: &str, fields: &str) {
        let (mount, request) = (&self.call.facts.mount_path, &self.call.facts.request_id);
        let (name, at) = (level_name(level), self.clock.now());
        let all = if fields.is_empty() { text.to_owned() } else { format!("{text} {fields}") };
        let (request, version) = (request.clone(), self.shared.version.clone());
        self.shared.tally.logged(Line { number: 0, at, request, version, level: name, text: all });
        let request = &self.call.facts.request_id;
        match level {
            Level::Debug => tracing::debug!(target: "coffer::plugin", mount, request, fields, "{text}"),
            Level::Info => tracing::info!(target: "coffer::plugin", mount, request, fields, "{text}"),
            Level::Warn => tracing::warn!(target: "coffer::plugin", mount, request, fields, "{text}"),
            Level::Error => tracing::error!(target: "coffer::plugin", mount, request, fields, "{text}"),
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Every string and long number in the inputs. What is not JSON counts as one secret.
fn find_secrets(inputs: &[Bytes]) -> Secrets {
    let mut found = Vec::new();
    for input in inputs.iter().filter(|input| !input.is_empty()) {
        match serde_json::from_slice(input) {
            Ok(value) => gather(value, &mut found),
            Err(_) => found.push(Zeroizing::new(String::from_utf8_lossy(input).into_owned())),
        }
    }
    found.retain(|secret| secret.len() >= SHORTEST);
    if found.len() > limits::PLUGIN_LOG_SECRETS {
        return Secrets::TooMany;
    }
    for at in 0..found.len() {
        add_other_forms(at, &mut found);
        if found.len() > limits::PLUGIN_LOG_FORMS {
            return Secrets::TooMany;
        }
    }
    found.retain(|secret| secret.len() >= SHORTEST);
    found.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    Secrets::Known(found)
}

/// A secret of many lines is printed line by line, one in quotes with its marks escaped, and bytes in hex or in
/// base64. Against a guest that means to, nothing helps: no more is promised than that a slip does no harm.
fn add_other_forms(at: usize, found: &mut Vec<Zeroizing<String>>) {
    let secret = found[at].clone();
    if secret.contains('\n') {
        let lines = secret.lines().filter(|line| line.len() >= SHORTEST).take(limits::PLUGIN_LOG_FORMS + 1);
        found.extend(lines.map(|line| Zeroizing::new(line.to_owned())));
    }
    let escaped = Zeroizing::new(secret.escape_debug().to_string());
    if *escaped != *secret {
        found.push(escaped);
    }
    found.push(Zeroizing::new(hex::encode(&*secret)));
    found.push(Zeroizing::new(hex::encode_upper(&*secret)));
    found.extend(forms::in_base64(&secret));
}

fn gather(value: serde_json::Value, into: &mut Vec<Zeroizing<String>>) {
    match value {
        serde_json::Value::String(text) => into.push(Zeroizing::new(text)),
        serde_json::Value::Number(number) => into.push(Zeroizing::new(number.to_string())),
        serde_json::Value::Array(items) => items.into_iter().for_each(|item| gather(item, into)),
        serde_json::Value::Object(members) => members.into_iter().for_each(|(_, item)| gather(item, into)),
        serde_json::Value::Null | serde_json::Value::Bool(_) => {}
    }
}
