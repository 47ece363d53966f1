use super::{Counter, Error, Refusal, UserPath, Users};
use crate::{
    barrier::Writes,
    directory::{Change, Kind, User},
    limits,
    policy::{Permit, Update},
    session::{EpochOf, Kept, Session},
};

impl Users {
    /// E-mail, role, disabled. Giving or taking a role, and touching whoever has one, needs `manage`
    /// on it. Who is disabled, or loses a role, loses every session with it.
    pub async fn update(&self, permit: Permit<Update, UserPath>, change: Change) -> Result<User, Error> {
        let UserPath(name) = permit.resource();
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let before = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(permit.caller(), &before)?;
            if let Some(role) = &change.role {
                self.check_may_manage(permit.caller(), role)?;
            }
            let after = self.directory.update(&mut writes, &before.id, change.clone()).await?;
            if after == before {
                return Ok(after);
            }
            if after.role != before.role || (after.disabled && !before.disabled) {
                self.end_all_of(&mut writes, &after);
            }
            if !before.holds_the_keys() {
                self.retire_root(&mut writes, &after).await?;
            }
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(after);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Every session that the user has or, as a program, asked for.
    pub(super) fn end_all_of(&self, to: &mut Writes, user: &User) {
        if user.kind == Kind::Machine {
            self.sessions.end_all(to, EpochOf::Client(user.id.clone()));
        }
        self.sessions.end_all(to, EpochOf::User(user.id.clone()));
    }

    /// The same but the session that asks for it, which is to be kept after the commit. None: a child
    /// is not. Its parent may be in wrong hands, and ends with the others, and it with its parent.
    pub(super) async fn end_others_of(
        &self,
        to: &mut Writes,
        session: &Session,
        user: &User,
    ) -> Result<Option<Kept>, Error> {
        if session.parent.is_some() {
            self.end_all_of(to, user);
            return Ok(None);
        }
        if user.kind == Kind::Machine {
            self.sessions.end_all(to, EpochOf::Client(user.id.clone()));
        }
        Ok(Some(self.sessions.end_all_but(to, session).await?))
    }
}
