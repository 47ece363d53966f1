use super::{Counter, Error, Refusal, RolePath, Users};
use crate::{
    barrier::Writes,
    directory::{self, Role},
    ids::{Action, RoleName},
    limits,
    mount::{Kind, Spec},
    policy::{Delete, List, Permit, Put, Read, Resource},
};

/// All roles in policy: `sys/roles`.
#[derive(Clone, Copy, Debug)]
pub struct AllRoles;

impl Resource for AllRoles {
    fn path(&self) -> String {
        "sys/roles".to_owned()
    }
}

impl Users {
    /// Those that the caller may list one by one, in byte order, and where to go on.
    pub async fn list_roles(
        &self,
        permit: &Permit<List, AllRoles>,
        after: Option<&RoleName>,
        limit: usize,
    ) -> Result<(Vec<Role>, Option<RoleName>), Error> {
        let may = |name: &RoleName| self.policies.allows(permit.caller(), Action::List, &RolePath(name.clone()).path());
        let mut roles = self.directory.roles().await?;
        roles.retain(|role| after.is_none_or(|after| role.name > *after) && may(&role.name));
        let more = roles.len() > limit;
        roles.truncate(limit);
        let next = roles.last().filter(|_| more).map(|role| role.name.clone());
        Ok((roles, next))
    }

    pub async fn role(&self, permit: &Permit<Read, RolePath>) -> Result<Role, Error> {
        self.directory.role(&permit.resource().0).await?.ok_or(Error::NotFound("name"))
    }

    /// Makes a role, or describes it anew. To itself it gives nothing.
    pub async fn put_role(&self, permit: &Permit<Put, RolePath>, description: String) -> Result<Role, Error> {
        let RolePath(name) = permit.resource();
        check_changeable(name)?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let role = self.directory.put_role(&mut writes, name, description.clone()).await?;
            self.fence.raise(&mut writes, Counter::Roles);
            if self.commit(writes, &[Counter::Roles]).await? {
                return Ok(role);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Only of a role that nobody has, that no policy names and that no mount gives: whoever made
    /// another of that name later would hand out what this one could do.
    pub async fn delete_role(&self, permit: &Permit<Delete, RolePath>) -> Result<RoleName, Error> {
        let RolePath(name) = permit.resource();
        check_changeable(name)?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            // Whoever gives it to somebody meanwhile raises one of these.
            for counter in [Counter::Users, Counter::Policies, Counter::Settings] {
                self.fence.rest_on(&mut writes, counter).await?;
            }
            self.directory.delete_role(&mut writes, name).await.map_err(|error| match error {
                directory::Error::UnknownRole => Error::NotFound("name"),
                other => other.into(),
            })?;
            if let Some(by) = self.who_uses(name).await? {
                return Err(Refusal::InUse(by).into());
            }
            self.fence.raise(&mut writes, Counter::Roles);
            if self.commit(writes, &[Counter::Roles]).await? {
                return Ok(name.clone());
            }
        }
        Err(Refusal::Busy.into())
    }

    async fn who_uses(&self, role: &RoleName) -> Result<Option<&'static str>, Error> {
        if self.directory.anybody_has(role).await? {
            return Ok(Some("is the role of a user"));
        }
        // What is in force must be no older than what the batch rests on.
        self.fence.ask().await?;
        self.policies.refresh().await?;
        if self.policies.names_role(role) {
            return Ok(Some("is named in a policy"));
        }
        let mounts = self.documents.below(&format!("{}/", Kind::Auth.as_str())).await?;
        let specs = mounts.iter().filter_map(|(_, document)| Spec::parse(&document.value).ok());
        let given = specs.flat_map(|spec| spec.roles.into_values()).any(|mapping| mapping.give.contains(role));
        Ok(given.then_some("is given by an auth mount"))
    }
}

fn check_changeable(name: &RoleName) -> Result<(), Error> {
    if Role::is_built_in(name) { Err(Refusal::BuiltIn.into()) } else { Ok(()) }
}
