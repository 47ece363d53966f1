use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ADMIN;
use crate::{
    clock::Timestamp,
    ids::{Email, MountId, RoleName, UserId, Username},
};

/// A user is an id; the name is a label that changes hands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    /// Several users may have the same one.
    pub email: Option<Email>,
    /// None: what the user may do is for the mappings of the auth mounts to say.
    #[serde(default)]
    pub role: Option<RoleName>,
    pub kind: Kind,
    pub disabled: bool,
    pub created_at: Timestamp,
    /// The identities that lead here.
    pub links: Vec<Link>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UserKind)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Person,
    /// A client, whose secrets are credentials of mount `clients`.
    Machine,
}

/// An identity: what an auth mount says who somebody is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    pub mount: MountId,
    pub subject: String,
}

impl Link {
    /// Names it among those of its user, wherever a subject could not stand.
    pub fn id(&self) -> String {
        let named = [self.mount.as_str().as_bytes(), b"/", self.subject.as_bytes()].concat();
        hex::encode(&digest::digest(&digest::SHA256, &named).as_ref()[..16])
    }
}

#[derive(Clone, Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Option<Email>,
    pub role: Option<RoleName>,
    pub kind: Kind,
}

impl User {
    /// Does this identity lead here?
    pub fn is_linked(&self, mount: &MountId, subject: &str) -> bool {
        self.links.iter().any(|link| link.mount == *mount && link.subject == subject)
    }

    /// Is this somebody who can put things right? A machine is not: by default its way to log
    /// in gives no admin.
    pub fn holds_the_keys(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.as_str() == ADMIN) && self.kind == Kind::Person && !self.disabled
    }
}
