use coffer_plugin_sdk::prelude::*;
#[derive(Deserialize)]
pub struct Pin;
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[serde(rename = "username")]
    _username: String,
    pin: String,
}
impl Auth for Pin {
    type Login = Login;
    fn login(&self, login: Login) -> Result<Step> {
        let user = context::login_user();
        let stored = storage::get::<String>(user.as_deref().unwrap_or("-"))?;
        let is_right = crypto::password_verify(&login.pin, stored.as_ref().map(|stored| stored.value.as_str()))?;
        let user = user.filter(|_| is_right).ok_or_else(Error::denied)?;
        Ok(Identity::new(user).into())
    }
}
coffer_plugin_sdk::export!(Pin: auth);
