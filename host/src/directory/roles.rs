use serde::{Deserialize, Serialize};

use super::{ADMIN, Directory, Error, USER, decode, read_for_change};
use crate::{barrier::Writes, clock::Timestamp, ids::RoleName, limits};

/// A role that somebody made. What it may do is the policies' to say: to itself it gives nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Role {
    pub name: RoleName,
    #[serde(default)]
    pub description: String,
    /// None: built in.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

impl Role {
    pub fn is_built_in(name: &RoleName) -> bool {
        [ADMIN, USER].contains(&name.as_str())
    }

    /// One of those that are always there.
    fn built_in(name: &RoleName) -> Option<Self> {
        let description = match name.as_str() {
            ADMIN => "may do everything",
            USER => "owns the folder kv/~/",
            _ => return None,
        };
        Some(Self { name: name.clone(), description: description.to_owned(), created_at: None, updated_at: None })
    }
}

impl Directory {
    /// Built in, or made by somebody.
    pub async fn role_exists(&self, role: &RoleName) -> Result<bool, Error> {
        Ok(Role::is_built_in(role) || self.roles.get_bytes(role.as_str()).await?.is_some())
    }

    pub async fn role(&self, name: &RoleName) -> Result<Option<Role>, Error> {
        if let Some(role) = Role::built_in(name) {
            return Ok(Some(role));
        }
        Ok(self.roles.get(name.as_str()).await?.map(|stored| stored.value))
    }

    /// All of them, by name. They are few: `limits::ROLES`.
    pub async fn roles(&self) -> Result<Vec<Role>, Error> {
        let page = self.roles.list("", None, None, limits::LIST_MOST).await?;
        let found = self.roles.get_many_bytes(&page.keys).await?;
        let stored = page.keys.iter().zip(found).filter_map(|(key, stored)| Some(decode(&stored?.value, key)));
        let mut roles = stored.collect::<Result<Vec<Role>, Error>>()?;
        roles.extend([ADMIN, USER].iter().filter_map(|name| Role::built_in(&RoleName::parse(name).ok()?)));
        roles.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(roles)
    }

    /// Makes a role, or describes it anew.
    pub async fn put_role(&self, to: &mut Writes, name: &RoleName, description: String) -> Result<Role, Error> {
        let now = self.clock.now();
        let before: Option<Role> = read_for_change(&self.roles, to, name.as_str()).await?;
        if before.is_none() && self.roles.list("", None, None, limits::ROLES).await?.keys.len() >= limits::ROLES {
            return Err(Error::TooMany("roles"));
        }
        let created_at = before.and_then(|role| role.created_at).or(Some(now));
        let role = Role { name: name.clone(), description, created_at, updated_at: Some(now) };
        self.roles.put(to, name.as_str(), &role, None);
        Ok(role)
    }

    /// Whether anybody has it is the caller's to find out.
    pub async fn delete_role(&self, to: &mut Writes, name: &RoleName) -> Result<(), Error> {
        let found: Option<Role> = read_for_change(&self.roles, to, name.as_str()).await?;
        found.ok_or(Error::UnknownRole)?;
        self.roles.delete(to, name.as_str());
        Ok(())
    }

    /// Is there a user of this role? A look at everybody.
    pub async fn anybody_has(&self, role: &RoleName) -> Result<bool, Error> {
        let mut from = None;
        loop {
            let (users, next) = self.list(from.as_ref(), limits::LIST_MOST).await?;
            if users.iter().any(|user| user.role.as_ref() == Some(role)) {
                return Ok(true);
            }
            match next {
                Some(next) => from = Some(next),
                None => return Ok(false),
            }
        }
    }
}
