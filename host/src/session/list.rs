use super::{Error, Listed, Session, Sessions, Summary};
use crate::ids::UserId;

impl Sessions {
    /// A user's sessions, oldest first.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Summary>, Error> {
        let listed = self.store.of_user(user).await?;
        Ok(self.prune(listed).await?.iter().map(Summary::from).collect())
    }

    /// Those that are alive, oldest first; the others leave the index.
    pub(super) async fn prune(&self, listed: Vec<Listed>) -> Result<Vec<Session>, Error> {
        let mut alive = Vec::new();
        for entry in listed {
            match self.listed(&entry).await? {
                Some(session) => alive.push(session),
                None => self.store.unlist(&entry).await?,
            }
        }
        alive.sort_by_key(|session| session.created_at);
        Ok(alive)
    }

    async fn listed(&self, entry: &Listed) -> Result<Option<Session>, Error> {
        let Some(family) = self.alive(&entry.id).await? else { return Ok(None) };
        let (record, facts) = (family.record, family.facts);
        let left = self.uses_left(&entry.id, &facts, &record).await?;
        // An idle access token leaves the refresh token good.
        let over = facts.r.is_none() && facts.is_over(record.seen, self.clock.now());
        // Whoever can write to the index gains no sight of others' sessions.
        let shown = !over && left != Some(0) && facts.user == entry.user;
        Ok(shown.then(|| facts.session(&entry.id, &record, left)))
    }
}
