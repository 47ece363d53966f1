use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::{
    barrier::{Writes, layout::Prefix},
    ids::{RequestId, RoleName, Username, random_base62},
    sensitive::Secret,
    users::NewUser,
};

/// With what somebody who tries the server out gets in.
#[derive(Debug)]
pub struct DevAccess {
    pub username: Username,
    pub password: Secret<String>,
    pub root_token: Secret<String>,
}

/// Kept below the barrier, so that a restart finds the admin that it made.
#[derive(Serialize, Deserialize)]
struct Kept {
    password: String,
}

const KEPT: &str = "dev-admin";

impl App {
    /// An admin whose name and password work, and a root token. Only in a dev store.
    pub async fn dev_access(&self) -> Result<DevAccess, Error> {
        let username = Username::parse("admin").expect("a constant");
        let boot = self.barrier.view(Prefix::Boot);
        let password = match boot.get::<Kept>(KEPT).await? {
            Some(kept) => Secret::new(kept.value.password),
            None => {
                let password = random_base62(24);
                let mut writes = Writes::default();
                boot.put(&mut writes, KEPT, &Kept { password: password.clone() }, None);
                self.barrier.commit(writes).await?;
                Secret::new(password)
            }
        };
        let new = NewUser {
            username: username.clone(),
            email: None,
            role: RoleName::parse(crate::directory::ADMIN).expect("a constant"),
            password: Some(password.clone()),
            request: RequestId::new(),
        };
        self.users.create_first(new).await?;
        let root_token = self.operate.root_token().await?;
        Ok(DevAccess { username, password, root_token })
    }
}
