use std::collections::BTreeMap;

use super::{Directory, Error, User, decode};
use crate::{
    ids::{UserId, Username},
    limits,
};

impl Directory {
    /// In the order of their ids, and where to go on: after the last one, if there are more.
    pub async fn list(&self, after: Option<&UserId>, limit: usize) -> Result<(Vec<User>, Option<UserId>), Error> {
        let page = self.users.list("", None, after.map(UserId::as_str), limit).await?;
        let found = self.users.get_many(&page.keys).await?;
        let users = page.keys.iter().zip(found).filter_map(|(key, stored)| Some(decode(&stored?.value, key)));
        let users = users.collect::<Result<Vec<User>, Error>>()?;
        let last = page.keys.last().filter(|_| page.more).and_then(|key| UserId::parse(key).ok());
        Ok((users, last))
    }

    /// Those to be shown, in byte order of their names, from after `after` on; and where to go on.
    /// No name stands in a key, so each page is a look at everybody, of whom no more than a page
    /// is held at a time.
    pub async fn page(
        &self,
        after: Option<&Username>,
        limit: usize,
        shown: impl Fn(&User) -> bool + Send,
    ) -> Result<(Vec<User>, Option<Username>), Error> {
        let (mut kept, mut from) = (BTreeMap::new(), None);
        loop {
            let (users, next) = self.list(from.as_ref(), limits::LIST_MOST).await?;
            for user in users {
                if after.is_none_or(|after| user.username > *after) && shown(&user) {
                    kept.insert(user.username.clone(), user);
                }
                // One more than is asked for: that there are more must be known.
                if kept.len() > limit + 1 {
                    kept.pop_last();
                }
            }
            from = next;
            if from.is_none() {
                break;
            }
        }
        let mut users: Vec<User> = kept.into_values().collect();
        let more = users.len() > limit;
        users.truncate(limit);
        let next = users.last().filter(|_| more).map(|user| user.username.clone());
        Ok((users, next))
    }
}
