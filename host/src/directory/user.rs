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

#[derive(Clone, Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Option<Email>,
    pub role: Option<RoleName>,
    pub kind: Kind,
}

impl User {
    /// Is this somebody who can put things right? A machine is not: by default its way to log
    /// in gives no admin.
    pub fn holds_the_keys(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.as_str() == ADMIN) && self.kind == Kind::Person && !self.disabled
    }
}
