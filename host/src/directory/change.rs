use super::{
    Directory, Error, NewUser, Role, User,
    keys::{self, Leads},
    read_for_change,
};
use crate::{
    barrier::Writes,
    ids::{Email, RoleName, UserId, Username},
    storage::Expect,
};

/// What is to change of a user. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub email: Option<Option<Email>>,
    pub role: Option<RoleName>,
    pub disabled: Option<bool>,
}

impl Directory {
    /// A new user, unless the name is taken: of two at once under one name, one is stored.
    pub async fn create(&self, to: &mut Writes, new: NewUser) -> Result<User, Error> {
        match new.username.is_reserved() {
            true => Err(Error::Reserved),
            false => self.create_any(to, new).await,
        }
    }

    /// The same for the server itself, which may take a reserved name (`admin` in dev).
    pub async fn create_shipped(&self, to: &mut Writes, new: NewUser) -> Result<User, Error> {
        match new.username.is_path_word() {
            true => Err(Error::Reserved),
            false => self.create_any(to, new).await,
        }
    }

    /// E-mail, role, disabled. Taking the last admin away is refused.
    pub async fn update(&self, to: &mut Writes, id: &UserId, change: Change) -> Result<User, Error> {
        let before = self.find_for_change(to, id).await?;
        let mut after = before.clone();
        if let Some(email) = change.email {
            after.email = email;
        }
        if let Some(role) = change.role {
            self.demand_role(to, &role).await?;
            after.role = Some(role);
        }
        if let Some(disabled) = change.disabled {
            after.disabled = disabled;
        }
        self.keep_an_admin(to, Some(&before), Some(&after)).await?;
        self.users.put(to, id.as_str(), &after, None);
        Ok(after)
    }

    /// Removes the user and frees the name. The identities are retired: they lead nowhere, and
    /// never to anybody else. Answers who it was.
    pub async fn delete(&self, to: &mut Writes, id: &UserId) -> Result<User, Error> {
        let user = self.find_for_change(to, id).await?;
        self.keep_an_admin(to, Some(&user), None).await?;
        self.users.delete(to, id.as_str());
        self.free_name(to, &user.username).await?;
        for link in &user.links {
            self.retire(to, link).await?;
        }
        Ok(user)
    }

    async fn create_any(&self, to: &mut Writes, new: NewUser) -> Result<User, Error> {
        if let Some(role) = &new.role {
            self.demand_role(to, role).await?;
        }
        let NewUser { username, email, role, kind } = new;
        let created_at = self.clock.now();
        let user = User { id: UserId::new(), username, email, role, kind, disabled: false, created_at, links: vec![] };
        let names = keys::of_name(&self.barrier, &user.username)?;
        for name in &names {
            if read_for_change::<Leads>(&self.names, to, name).await?.is_some() {
                return Err(Error::Exists);
            }
        }
        self.keep_an_admin(to, None, Some(&user)).await?;
        self.names.put(to, &names[0], &Leads { user: Some(user.id.clone()) }, None);
        self.users.expect(to, user.id.as_str(), Expect::Absent);
        self.users.put(to, user.id.as_str(), &user, None);
        self.ensure_nobody(to, &user).await?;
        Ok(user)
    }

    /// Looks like anybody's entry, and is no user's.
    async fn ensure_nobody(&self, to: &mut Writes, like: &User) -> Result<(), Error> {
        let [lead, entry] = keys::NOBODY;
        if read_for_change::<Leads>(&self.names, to, lead).await?.is_none() {
            let id = UserId::new();
            self.names.put(to, lead, &Leads { user: Some(id.clone()) }, None);
            self.names.put(to, entry, &User { id, ..like.clone() }, None);
        }
        Ok(())
    }

    async fn free_name(&self, to: &mut Writes, name: &Username) -> Result<(), Error> {
        for name in keys::of_name(&self.barrier, name)? {
            if read_for_change::<Leads>(&self.names, to, &name).await?.is_some() {
                self.names.delete(to, &name);
            }
        }
        Ok(())
    }

    /// The user, and `to` rests on nobody changing it meanwhile.
    pub async fn hold(&self, to: &mut Writes, id: &UserId) -> Result<User, Error> {
        self.find_for_change(to, id).await
    }

    pub(super) async fn find_for_change(&self, to: &mut Writes, id: &UserId) -> Result<User, Error> {
        read_for_change(&self.users, to, id.as_str()).await?.ok_or(Error::UnknownUser)
    }

    /// A role that somebody made must still be there when the batch is stored.
    async fn demand_role(&self, to: &mut Writes, role: &RoleName) -> Result<(), Error> {
        if Role::is_built_in(role) {
            return Ok(());
        }
        let found: Option<serde_json::Value> = read_for_change(&self.roles, to, role.as_str()).await?;
        found.map(|_| ()).ok_or(Error::UnknownRole)
    }
}
