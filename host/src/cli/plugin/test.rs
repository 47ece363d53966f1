use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, failed, read, wrong};
use crate::{
    barrier::{Barrier, Init, layout::Prefix},
    catalog::Component,
    clock::{Clock, Hand},
    ids::{self, MountId},
    problem,
    runtime::{
        Call, Check, Facts, Fault, Handle, Login, Options, Origin, PasswordCosts, Plugin, Runtime,
        types::{Request, Step},
    },
    sensitive::Secret,
    span::Span,
    storage::Memory,
};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The component: NAME-VERSION.wasm
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is asked of it, in JSON: a list of calls and of what they are to answer
    #[arg(value_name = "CALLS")]
    calls: Option<PathBuf>,
    /// A mount's configuration, in JSON
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One thing to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    operation: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    body: Option<Value>,
    /// Credentials: it is a login.
    login: Option<Value>,
    /// Whom they name, or who asks.
    user: Option<String>,
    /// The clock is moved.
    advance: Option<Span>,
    /// These members stand in the answer.
    answer: Option<Value>,
    /// It refuses, with this code.
    error: Option<String>,
}

/// A component in the server's own sandbox, with a store in memory and a clock that is moved by hand.
struct Bench {
    plugin: Plugin,
    call: Call,
    hand: Hand,
}

pub async fn test(arguments: &Arguments) -> Result<Value, Failure> {
    let (wasm, component) = read(&arguments.file)?;
    let config = match &arguments.config {
        Some(path) => json_of(path)?,
        None => json!({}),
    };
    let asked: Vec<Asked> = match &arguments.calls {
        Some(path) => problem::decode(&json_of(path)?).map_err(|problems| {
            let first = problems.first().map(|problem| format!("{} {}", problem.at, problem.message));
            wrong(path, &first.unwrap_or_default())
        })?,
        None => Vec::new(),
    };
    let mut bench = Bench::new(wasm.into(), &component, config).await?;
    let notes =
        bench.plugin.call(Check, &bench.call).await.map_err(|fault| failed(format!("check: {}", told(&fault))))?;
    for (at, asked) in asked.iter().enumerate() {
        bench.ask(asked).await.map_err(|why| failed(format!("call {at}: {why}{}", bench.said())))?;
    }
    Ok(json!({"plugin": component.manifest.name, "notes": notes.value, "calls": asked.len(), "failed": 0}))
}

impl Bench {
    async fn new(wasm: Arc<[u8]>, component: &Component, config: Value) -> Result<Self, Failure> {
        let manifest = &component.manifest;
        if let Err(problems) = manifest.check_config(&config) {
            let lines = problems.iter().map(|problem| format!("{} {}", problem.at, problem.message));
            return Err(Failure::Usage(format!("the configuration: {}", lines.collect::<Vec<_>>().join("; "))));
        }
        let config = manifest.config.with_defaults(config);
        let (clock, hand) = Clock::manual(Clock::system().now());
        let barrier = Barrier::new(Arc::new(Memory::default()), clock.clone());
        let dev = Init::Dev(Secret::new(ids::random()));
        barrier.init(dev).await.map_err(|error| failed(error.to_string()))?;
        let options = Options { calls: 2, calls_each: 2, queue: 2, passwords: 1 };
        let runtime = Runtime::new(clock.clone(), options).map_err(|error| failed(error.to_string()))?;
        let runtime = runtime.noting(crate::lease::journal(&barrier, &clock, &crate::lease::Reservations::default()));
        let plugin = runtime.compile(wasm).await.map_err(|error| Failure::Usage(error.to_string()))?;
        let mount = MountId::new();
        let call = Call {
            facts: Facts { mount_path: manifest.name.to_string(), request_id: "test".to_owned(), ..Facts::default() },
            storage: barrier.view(Prefix::Data(mount.clone())),
            keys: barrier.view(Prefix::Key(mount.clone())),
            grant: Arc::new(manifest.asked(&config)),
            config: manifest.config.concealed(config).to_string().into_bytes().into(),
            bounds: manifest.bounds(),
            credentials: Arc::default(),
            passwords: PasswordCosts::default(),
            read_only: false,
            origin: Some(Origin { mount, path: String::new() }),
        };
        Ok(Self { plugin, call, hand })
    }

    /// What the plugin itself has to say: of a mistake in it, where that is.
    fn said(&self) -> String {
        self.plugin.tally().log().iter().map(|line| format!("\n  it logged: {} {}", line.level, line.text)).collect()
    }

    async fn ask(&mut self, asked: &Asked) -> Result<(), String> {
        if let Some(span) = asked.advance {
            self.hand.advance(Duration::max(span.duration(), Duration::ZERO));
        }
        let mut call = self.call.clone();
        call.facts.principal = asked.user.clone();
        call.facts.principal_name = asked.user.clone();
        let answered = match (&asked.login, &asked.operation) {
            (Some(credentials), None) => {
                (call.facts.principal, call.facts.principal_name) = (None, None);
                call.facts.login_user = asked.user.clone();
                self.log_in(credentials, &call).await
            }
            (None, Some(operation)) => self.handle(operation, asked, &call).await,
            (None, None) if asked.advance.is_some() => return Ok(()),
            _ => return Err("has to have either operation, login or advance".to_owned()),
        };
        match (answered, &asked.error) {
            (Ok(answer), None) => match &asked.answer {
                Some(expected) if !holds(&answer, expected) => Err(format!("answers {answer}")),
                _ => Ok(()),
            },
            (Ok(answer), Some(code)) => Err(format!("answers {answer}, and was to refuse with {code}")),
            (Err(Fault::Refused(refusal)), Some(code)) if refusal.code == *code => Ok(()),
            (Err(fault), _) => Err(told(&fault)),
        }
    }

    async fn handle(&self, operation: &str, asked: &Asked, call: &Call) -> Result<Value, Fault> {
        let body = asked.body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request { operation: operation.to_owned(), path: asked.path.clone(), body: body.into() };
        let outcome = self.plugin.call(Handle(request), call).await?;
        call.storage.commit(outcome.writes).await.map_err(Fault::Store)?;
        Ok(Value::Object(outcome.value.object()))
    }

    async fn log_in(&self, credentials: &Value, call: &Call) -> Result<Value, Fault> {
        let login = Login { credentials: credentials.to_string().into_bytes().into() };
        let outcome = self.plugin.call(login, call).await?;
        call.storage.commit(outcome.writes).await.map_err(Fault::Store)?;
        Ok(match outcome.value {
            Step::Identity(identity) => json!({"subject": identity.subject, "groups": identity.groups}),
            Step::Challenge(challenge) => json!({"challenge": challenge.kind}),
        })
    }
}

/// Each member that is named is there and the same.
fn holds(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|found| holds(found, value)))
        }
        _ => answer == expected,
    }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Refused(refusal) => {
            let problems = refusal.problems.iter().map(|problem| format!(" {} {}", problem.at, problem.message));
            format!("refuses with {}: {}{}", refusal.code, refusal.message, problems.collect::<String>())
        }
        other => other.to_string(),
    }
}

fn json_of(path: &std::path::Path) -> Result<Value, Failure> {
    let text = std::fs::read(path).map_err(|error| wrong(path, &format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| wrong(path, &format!("is not JSON at line {}", error.line())))
}
