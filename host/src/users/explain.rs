use std::net::IpAddr;

use super::{Error, Users};
use crate::{
    directory::{Role, User},
    ids::{Action, Folder, MountName, RoleName, UserId, Username},
    limits,
    policy::{Caller, Judgement, Permit, Principal, Read, Resource},
};

/// The question in policy: `sys/policies/explain`.
#[derive(Clone, Copy, Debug)]
pub struct ExplainPath;

impl Resource for ExplainPath {
    fn path(&self) -> String {
        "sys/policies/explain".to_owned()
    }
}

/// What is asked about a decision.
#[derive(Clone, Debug)]
pub struct Question {
    /// None: the session that asks, as it is.
    pub username: Option<Username>,
    pub action: Action,
    pub path: String,
    pub verb: String,
    /// Of a login that is imagined for the user.
    pub method: Option<MountName>,
    pub address: Option<IpAddr>,
}

#[derive(Clone, Debug)]
pub struct Explanation {
    pub judgement: Judgement,
    /// What the decision went by.
    pub roles: Vec<RoleName>,
    /// Who can do this, as things are.
    pub who: Vec<(Who, Judgement)>,
}

#[derive(Clone, Debug)]
pub enum Who {
    Role(RoleName),
    Group(String),
    User(User),
}

impl Users {
    /// Would it be allowed, by what, and if not, why; and who else can do it.
    pub async fn explain(&self, permit: &Permit<Read, ExplainPath>, question: &Question) -> Result<Explanation, Error> {
        let asker = permit.caller();
        let (caller, disabled) = match &question.username {
            None => (asker.clone(), false),
            Some(name) => {
                let user = self.directory.by_name(name).await?.ok_or(Error::NotFound("username"))?;
                (self.imagined(asker, &user, question), user.disabled)
            }
        };
        let question = &Question { path: resolved(&question.path, &caller.user), ..question.clone() };
        let mut judgement = self.judge(&caller, question);
        if disabled {
            let reason = "the user is disabled".to_owned();
            judgement = Judgement { allowed: false, reason, policies: Vec::new(), conditional: false };
        }
        Ok(Explanation { judgement, roles: caller.roles, who: self.who(asker, question).await? })
    }

    /// Each role by itself, and the groups and users whom policies name.
    async fn who(&self, asker: &Caller, question: &Question) -> Result<Vec<(Who, Judgement)>, Error> {
        let nobody = Caller {
            user: UserId::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            scope: None,
            root: false,
            ..asker.clone()
        };
        let roles = self.directory.roles().await?.into_iter().map(|Role { name, .. }| Principal::Role(name));
        let mut principals = self.policies.principals();
        principals.extend(roles);
        principals.extend(owner(&question.path).map(Principal::User));
        let mut found = Vec::new();
        for principal in principals.into_iter().take(limits::POLICY_PRINCIPALS) {
            let (who, caller) = match principal {
                Principal::Role(role) => {
                    (Who::Role(role.clone()), Caller { roles: vec![role], ..circumstances(&nobody, question) })
                }
                Principal::Group(group) => {
                    (Who::Group(group.clone()), Caller { groups: vec![group], ..circumstances(&nobody, question) })
                }
                Principal::User(id) => match self.directory.user(&id).await? {
                    Some(user) if !user.disabled => {
                        let caller = self.imagined(&nobody, &user, question);
                        (Who::User(user), caller)
                    }
                    _ => continue,
                },
            };
            let judgement = self.judge(&caller, question);
            if judgement.allowed {
                found.push((who, judgement));
            }
        }
        Ok(found)
    }

    /// The user, just logged in by that method.
    fn imagined(&self, asker: &Caller, user: &User, question: &Question) -> Caller {
        let caller = circumstances(asker, question);
        let rules = self.security.rules();
        let may = |role: &RoleName| rules.may_give(caller.method.as_str(), role.as_str());
        let roles = user.role.clone().filter(may).into_iter().collect();
        let login_at = self.clock.now();
        Caller { user: user.id.clone(), roles, groups: Vec::new(), scope: None, root: false, login_at, ..caller }
    }

    fn judge(&self, caller: &Caller, question: &Question) -> Judgement {
        self.policies.judge(caller, question.action, &question.path, &question.verb)
    }
}

fn circumstances(asker: &Caller, question: &Question) -> Caller {
    let method = question.method.clone().unwrap_or_else(|| asker.method.clone());
    Caller { method, address: question.address.or(asker.address), ..asker.clone() }
}

/// With the own folder of the user for a `~`.
fn resolved(path: &str, user: &UserId) -> String {
    match path.strip_prefix("secrets/").map(Folder::parse) {
        Some(Ok(folder)) => Resource::path(&folder.resolve(user)),
        _ => path.to_owned(),
    }
}

/// Whose own folder it lies in.
fn owner(path: &str) -> Option<UserId> {
    let rest = path.strip_prefix("secrets/kv/users/")?;
    UserId::parse(rest.split('/').next()?).ok()
}
