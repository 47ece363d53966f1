use futures_util::future::try_join_all;

use super::{Error, Listed, Record, Session, Sessions, Summary, record::Facts, standing::Standing};
use crate::{ids::UserId, limits};

impl Sessions {
    /// A user's sessions, oldest first.
    pub async fn list(&self, user: &UserId) -> Result<Vec<Summary>, Error> {
        let listed = self.store.of_user(user).await?;
        Ok(self.prune(listed).await?.iter().map(Summary::from).collect())
    }

    /// Those that are alive, oldest first; the others leave the index.
    pub(super) async fn prune(&self, listed: Vec<Listed>) -> Result<Vec<Session>, Error> {
        let mut alive = Vec::new();
        for some in listed.chunks(limits::SESSIONS_AT_ONCE) {
            let opened = try_join_all(some.iter().map(|entry| self.open(&entry.id))).await?;
            let known = some.iter().zip(&opened).filter_map(|(entry, opened)| Some((&entry.id, &opened.as_ref()?.1)));
            let mut standings = self.standings(&known.collect::<Vec<_>>()).await?.into_iter();
            let mut listed = Vec::new();
            for (entry, opened) in some.iter().zip(opened) {
                let standing = opened.as_ref().and_then(|_| standings.next());
                listed.push(self.listed(entry, opened.filter(|_| standing == Some(Standing::Alive))));
            }
            for (entry, session) in some.iter().zip(try_join_all(listed).await?) {
                match session {
                    Some(session) => alive.push(session),
                    None => self.store.unlist(entry).await?,
                }
            }
        }
        alive.sort_by_key(|session| session.created_at);
        Ok(alive)
    }

    async fn listed(&self, entry: &Listed, alive: Option<(Record, Facts)>) -> Result<Option<Session>, Error> {
        let Some((record, facts)) = alive else { return Ok(None) };
        let left = self.uses_left(&entry.id, &facts, &record).await?;
        // An idle access token leaves the refresh token good.
        let over = facts.r.is_none() && facts.is_over(record.seen, self.clock.now());
        // Whoever can write to the index gains no sight of others' sessions.
        let shown = !over && left != Some(0) && facts.user == entry.user;
        Ok(shown.then(|| facts.session(&entry.id, &record, left)))
    }
}
