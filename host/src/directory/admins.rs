use std::collections::BTreeSet;

use super::{ADMIN, Directory, Error, User, read_for_change};
use crate::{barrier::Writes, ids::UserId, limits};

/// Who holds the keys now. One entry, and every batch that adds or takes one rests on it and
/// writes it: so of two that each remove one of the last two admins, only one is stored.
type Holders = BTreeSet<UserId>;

impl Directory {
    /// How many admins there are who can act: enabled, and persons.
    pub async fn admins_left(&self) -> Result<usize, Error> {
        Ok(self.holders.get::<Holders>(ADMIN).await?.map_or(0, |stored| stored.value.len()))
    }

    /// Who they are.
    pub async fn holders(&self) -> Result<BTreeSet<UserId>, Error> {
        Ok(self.holders.get::<Holders>(ADMIN).await?.map(|stored| stored.value).unwrap_or_default())
    }

    /// Keeps the account of admins as a user changes from `before` to `after`.
    pub(super) async fn keep_an_admin(
        &self,
        to: &mut Writes,
        before: Option<&User>,
        after: Option<&User>,
    ) -> Result<(), Error> {
        let held = before.filter(|user| user.holds_the_keys());
        let holds = after.filter(|user| user.holds_the_keys());
        if held.is_some() == holds.is_some() {
            return Ok(());
        }
        let mut holders: Holders = read_for_change(&self.holders, to, ADMIN).await?.unwrap_or_default();
        if let Some(user) = held {
            holders.remove(&user.id);
        }
        if let Some(user) = holds {
            holders.insert(user.id.clone());
        }
        match holders.len() {
            0 => return Err(Error::LastAdmin),
            count if count > limits::ADMINS => return Err(Error::TooMany("admins")),
            _ => {}
        }
        self.holders.put(to, ADMIN, &holders, None);
        Ok(())
    }
}
