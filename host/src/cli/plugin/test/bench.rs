//! A component in the server's own sandbox, with a store in memory and a clock that is moved by hand.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{Failure, failed},
    asked::{Amiss, Asked, Question},
};
use crate::{
    barrier::{Barrier, Init, layout::Prefix},
    catalog::{Component, Kind, Manifest},
    clock::{Clock, Hand},
    ids::{self, MountId},
    runtime::{
        Call, Check, Credentials, Enroll, Facts, Fault, Handle, Input, Login, Options, Origin, PasswordCosts, Plugin,
        Refresh, Remove, RenewLease, Resume, RevokeLease, Runtime, Tick, Verify,
        types::{Bytes, Identity, LeaseSpec, Request, Response, Step},
    },
    secrets::{Listed, RESERVED},
    sensitive::Secret,
    storage::Memory,
};

pub(super) struct Bench {
    manifest: Manifest,
    plugin: Plugin,
    call: Call,
    hand: Hand,
    /// What the host keeps for the next step: of the last challenge, login and lease.
    state: Option<Bytes>,
    proof: Option<Bytes>,
    lease: Option<Bytes>,
}

impl Bench {
    pub(super) async fn new(wasm: Arc<[u8]>, component: &Component, config: Value) -> Result<Self, Failure> {
        let manifest = component.manifest.clone();
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
        Ok(Self { manifest, plugin, call, hand, state: None, proof: None, lease: None })
    }

    /// What it says of its configuration.
    pub(super) async fn check(&self) -> Result<Vec<String>, Failure> {
        let checked = self.plugin.call(Check, &self.call).await;
        checked.map(|notes| notes.value).map_err(|fault| failed(format!("check: {}", told(&fault))))
    }

    /// What the plugin itself has to say: of a mistake in it, where that is.
    pub(super) fn said(&self) -> String {
        self.plugin.tally().log().iter().map(|line| format!("\n  it logged: {} {}", line.level, line.text)).collect()
    }

    pub(super) async fn ask(&mut self, asked: &Asked) -> Result<(), String> {
        if let Some(span) = asked.advance {
            self.hand.advance(Duration::max(span.duration(), Duration::ZERO));
        }
        let question = asked.question()?;
        if matches!(question, Question::Nothing) {
            return Ok(());
        }
        let answered = match self.answer(question, asked).await {
            Ok(answer) => Ok(answer),
            Err(Amiss::Said(why)) => return Err(why),
            Err(Amiss::Refused(fault)) => Err(fault),
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

    async fn answer(&mut self, question: Question<'_>, asked: &Asked) -> Result<Value, Amiss> {
        let mut call = self.call.clone();
        let user = || asked.user.clone().ok_or_else(|| Amiss::Said("has to name a user".to_owned()));
        let kept = |kept: &Option<Bytes>, none: &str| kept.clone().ok_or_else(|| Amiss::Said(none.to_owned()));
        let id = asked.id.clone();
        match &question {
            // Before somebody is known, nobody asks.
            Question::Login(_) | Question::Resume(_) => call.facts.login_user = asked.user.clone(),
            Question::Tick | Question::Revoke | Question::Refresh => {}
            _ => (call.facts.principal, call.facts.principal_name) = (asked.user.clone(), asked.user.clone()),
        }
        Ok(match question {
            Question::Nothing => Value::Null,
            Question::Operation(operation) => self.handle(operation, asked, call).await?,
            Question::Login(credentials) => {
                let step = self.run(Login { credentials: json_of(credentials) }, &call).await?;
                self.stepped(step, asked)?
            }
            Question::Resume(answer) => {
                let state = kept(&self.state, "there is no challenge to go on from")?;
                let step = self.run(Resume { state, answer: json_of(answer) }, &call).await?;
                self.stepped(step, asked)?
            }
            Question::Refresh => {
                let internal = kept(&self.proof, "nobody has logged in whose session could be renewed")?;
                let identity = self.run(Refresh { internal }, &call).await?;
                self.proven(identity)
            }
            Question::Enroll(credential) => {
                let enroll = Enroll { subject: user()?, id, credential: json_of(credential) };
                value_of(&self.run(enroll, &call).await?)
            }
            Question::Verify(credential) => {
                json!(self.run(Verify { subject: user()?, credential: json_of(credential) }, &call).await?)
            }
            Question::Credentials => value_of(&self.run(Credentials { subject: user()? }, &call).await?),
            Question::Remove => {
                self.run(Remove { subject: user()?, id }, &call).await?;
                json!({})
            }
            Question::Tick => json!(self.run(Tick, &call).await?),
            Question::Renew(increment_seconds) => {
                let internal = kept(&self.lease, "nothing has been lent")?;
                let lease = self.run(RenewLease { internal, increment_seconds }, &call).await?;
                self.lent(lease)
            }
            Question::Revoke => {
                let internal = kept(&self.lease, "nothing has been lent")?;
                self.run(RevokeLease { internal }, &call).await?;
                json!({})
            }
        })
    }

    /// Runs it, and stores what it wrote.
    async fn run<I: Input>(&self, input: I, call: &Call) -> Result<I::Answer, Amiss> {
        let outcome = self.plugin.call(input, call).await.map_err(Amiss::Refused)?;
        call.storage.commit(outcome.writes).await.map_err(|error| Amiss::Refused(Fault::Store(error)))?;
        Ok(outcome.value)
    }

    async fn handle(&mut self, operation: &str, asked: &Asked, mut call: Call) -> Result<Value, Amiss> {
        let (read_only, body) = asked.request(operation, &self.manifest)?;
        call.read_only = read_only;
        let limit = body.get("limit").and_then(Value::as_u64);
        let request = Request { operation: operation.to_owned(), path: asked.path.clone(), body: json_of(&body) };
        let outcome = self.plugin.call(Handle(request), &call).await.map_err(Amiss::Refused)?;
        let Response { warnings, lease, .. } = outcome.value.clone();
        let mut answer = outcome.value.object();
        let lends = self.plugin.exports().leases && !read_only && self.manifest.kind == Kind::Secrets;
        let reserved: &[&str] = match self.manifest.kind {
            Kind::Secrets => &RESERVED,
            Kind::Auth => &["warnings"],
        };
        let broken = match reserved.iter().find(|name| answer.contains_key(**name)) {
            Some(name) => Some(format!("its answer has the member {name}, which is the host's")),
            None if lease.is_some() && !lends => Some("a lease from a call or an engine that can make none".to_owned()),
            None if operation == "list" => is_listing(&answer, limit).err(),
            None => None,
        };
        if let Some(why) = broken {
            return Err(Amiss::Refused(Fault::Invalid(why)));
        }
        call.storage.commit(outcome.writes).await.map_err(|error| Amiss::Refused(Fault::Store(error)))?;
        if !warnings.is_empty() {
            answer.insert("warnings".to_owned(), json!(warnings));
        }
        if let Some(lease) = lease {
            answer.insert("lease".to_owned(), self.lent(lease));
        }
        Ok(Value::Object(answer))
    }

    fn stepped(&mut self, step: Step, asked: &Asked) -> Result<Value, Amiss> {
        match step {
            Step::Identity(identity) => {
                if self.manifest.auth.proves_users() && asked.user.as_ref() != Some(&identity.subject) {
                    let why = "it says somebody else than the user whom the credentials name".to_owned();
                    return Err(Amiss::Refused(Fault::Invalid(why)));
                }
                self.state = None;
                Ok(self.proven(identity))
            }
            Step::Challenge(challenge) => {
                self.state = Some(challenge.state);
                Ok(json!({"challenge": challenge.kind, "details": value_of(&challenge.details)}))
            }
        }
    }

    fn proven(&mut self, identity: Identity) -> Value {
        let Identity { subject, display_name, groups, metadata, internal, .. } = identity;
        self.proof = Some(internal);
        json!({"subject": subject, "display_name": display_name, "groups": groups, "metadata": metadata})
    }

    fn lent(&mut self, lease: LeaseSpec) -> Value {
        let LeaseSpec { ttl, max_ttl, renewable, internal } = lease;
        self.lease = Some(internal);
        json!({"ttl_seconds": ttl.as_secs(), "max_ttl_seconds": max_ttl.as_secs(), "renewable": renewable})
    }
}

fn is_listing(answer: &Map<String, Value>, limit: Option<u64>) -> Result<(), String> {
    let listed = Listed::deserialize(&Value::Object(answer.clone()));
    let listed = listed.map_err(|_| "its listing is not entries, folders and next")?;
    if !listed.entries.iter().all(|entry| entry.get("name").is_some_and(Value::is_string)) {
        return Err("its listing has an entry without a name".to_owned());
    }
    match limit.is_none_or(|limit| listed.count() as u64 <= limit) {
        true => Ok(()),
        false => Err("its listing has more names than were asked for".to_owned()),
    }
}

/// Each member that is named is there and the same.
fn holds(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|found| holds(found, value)))
        }
        (Value::Array(answer), Value::Array(expected)) => {
            answer.len() == expected.len() && answer.iter().zip(expected).all(|(found, value)| holds(found, value))
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

fn json_of(object: &Map<String, Value>) -> Bytes {
    serde_json::to_vec(object).unwrap_or_default().into()
}

/// What was checked to be JSON, or nothing.
fn value_of(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}
