use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Client, Error, Login, Program, Refusal,
    begin::{facts, refused},
};
use crate::{
    directory::{self, User},
    ids::{MountName, UserId, Username},
    mount::Kind,
    runtime,
    session::{Epochs, EpochsOf},
    throttle::{Try, USERS},
};

/// The mount that keeps the secrets of machines.
pub const CLIENTS: &str = "clients";

/// A machine that has shown its secret.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) user: User,
    /// As they were before the secret was looked at: an ending that overlaps makes what rests on it void.
    pub(super) epochs: Epochs,
}

impl Login {
    /// The machine that a program says it is, if it shows a secret of that machine's. Costs the secret no use: nobody
    /// logs in by this.
    pub(super) async fn program(&self, program: Option<&Program>, client: &Client) -> Result<Option<Proof>, Error> {
        let Some(program) = program else { return Ok(None) };
        let name = MountName::parse(CLIENTS).expect("a constant");
        let mount = self.mounts.get(Kind::Auth, &name).ok_or(Refusal::Client("no mount keeps clients"))?;
        let of = Try { realm: USERS, name: Some(&program.id), address: client.address };
        let guess = self.throttle.begin(of).await?;
        let known = match Username::parse(&program.id) {
            Ok(name) => self.directory.by_name(&name).await?,
            Err(_) => None,
        };
        // A person who has a secret from earlier days is no program.
        let is_machine = |user: &User| user.kind == directory::Kind::Machine;
        let known = known.filter(|user| is_machine(user) && !user.disabled && !guess.is_slowed());
        // Of nobody, for a client that there is not: the same work.
        let subject = known.as_ref().map_or_else(UserId::new, |user| user.id.clone());
        let of = EpochsOf { client: Some(subject.clone()), ..EpochsOf::default() };
        let epochs = self.sessions.epochs(&of).await?;
        let credential = json!({ "client_secret": program.secret.reveal() });
        let credential = Zeroizing::new(serde_json::to_vec(&credential).expect("JSON serialises"));
        let mut attempts = self.mounts.call(&mount, facts(&mount, client, known.as_ref()), subject.as_str())?;
        let is_right = loop {
            let verify = runtime::Verify { subject: subject.to_string(), credential: credential.clone().into() };
            let outcome = match attempts.run(verify).await.map_err(refused) {
                Ok(outcome) => outcome,
                Err(Error::Denied(_) | Error::Invalid(_)) => break false,
                Err(error) => {
                    guess.void().await;
                    return Err(error);
                }
            };
            if attempts.commit(outcome.writes, outcome.may_rerun).await? {
                break outcome.value;
            }
        };
        match known.filter(|_| is_right) {
            Some(user) => {
                guess.right().await;
                Ok(Some(Proof { user, epochs }))
            }
            None => Err(Refusal::Client("unknown, wrong or slowed").into()),
        }
    }
}
