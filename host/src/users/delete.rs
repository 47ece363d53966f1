use super::{Counter, Error, Refusal, UserPath, Users};
use crate::{
    barrier::Writes,
    ids::{RequestId, Username},
    limits,
    policy::{Delete, Permit},
};

impl Users {
    /// The user, the credentials and every session, in one batch; then the fence, then the answer.
    pub async fn delete(&self, permit: Permit<Delete, UserPath>, request: RequestId) -> Result<Username, Error> {
        let UserPath(name) = permit.resource();
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(permit.caller(), &user)?;
            self.directory.delete(&mut writes, &user.id).await?;
            self.forget(&mut writes, &user, &request).await?;
            self.end_all_of(&mut writes, &user);
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(user.username);
            }
        }
        Err(Refusal::Busy.into())
    }
}
