use std::time::Duration;

use super::{Error, Operate};
use crate::{
    barrier::{Writes, layout::Prefix},
    directory::{Kind, NewUser, USER, User},
    ids::{MountId, MountName, ROOT_MOUNT, RoleName, Username},
    limits,
    sensitive::Secret,
    session::{EpochsOf, Lifetimes, NewSession},
};

/// What stands where another session has a name, a method or a plugin.
const ROOT: &str = "root";

impl Operate {
    /// A token that may do everything, for a day: with it the first admin is made.
    pub async fn root_token(&self) -> Result<Secret<String>, Error> {
        let parts = &self.0;
        let user = self.root_user().await?;
        let mount = MountId::parse(ROOT_MOUNT).expect("a constant");
        let method = MountName::parse(ROOT).expect("a constant");
        let of = EpochsOf {
            user: Some(user.id.clone()),
            mount: Some(mount.clone()),
            digest: Some(ROOT.to_owned()),
            client: None,
        };
        let epochs = parts.sessions.epochs(&of).await?;
        let day = Duration::from_secs(limits::ROOT_TOKEN_SECONDS);
        let tokens = parts
            .sessions
            .create(NewSession {
                user: user.id.clone(),
                mount,
                method,
                subject: user.id.to_string(),
                groups: Vec::new(),
                plugin: ROOT.to_owned(),
                client: None,
                scope: None,
                addresses: None,
                max_uses: None,
                lifetimes: Lifetimes { idle: day, absolute: day, family: day },
                renewable: false,
                internal: Vec::new(),
                epochs,
                parent: None,
                address: None,
                device: "root token".to_owned(),
                login_at: parts.clock.now(),
                by_device_flow: false,
                per_user: None,
            })
            .await?;
        Ok(tokens.access)
    }

    /// Whom the root token stands for. Not an admin: it cannot be what keeps the last admin from
    /// being the last.
    async fn root_user(&self) -> Result<User, Error> {
        let parts = &self.0;
        let username = Username::parse(ROOT).expect("a constant");
        if let Some(user) = parts.directory.by_name(&username).await? {
            return Ok(user);
        }
        let role = RoleName::parse(USER).expect("a constant");
        let mut writes = Writes::default();
        let new = NewUser { username, email: None, role: Some(role), kind: Kind::Machine };
        let user = parts.directory.create_shipped(&mut writes, new).await?;
        parts.barrier.view(Prefix::Boot).put(&mut writes, ROOT, &user.id, None);
        parts.barrier.commit(writes).await?;
        Ok(user)
    }
}
