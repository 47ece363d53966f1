//! Users' passwords.

use coffer_plugin_sdk::prelude::*;

#[derive(Deserialize)]
struct Password;

#[derive(Deserialize)]
struct Login { username: String, password: String }

impl Auth for Password {
    type Login = Login;
    fn login(&self, login: Login) -> Result<Step> {
        if !crypto::password_verify(&login.password, None)? { return Err(Error::denied()) }
        Ok(Identity::new(context::login_user().unwrap_or(login.username)).into())
    }
}

coffer_plugin_sdk::export!(Password: auth);
