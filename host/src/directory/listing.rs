use super::{Directory, Error, User, decode};
use crate::ids::UserId;

impl Directory {
    /// In the order of their ids, and where to go on: after the last one, if there are more.
    pub async fn list(&self, after: Option<&UserId>, limit: usize) -> Result<(Vec<User>, Option<UserId>), Error> {
        let page = self.users.list("", None, after.map(UserId::as_str), limit).await?;
        let found = self.users.get_many_bytes(&page.keys).await?;
        let users = page.keys.iter().zip(found).filter_map(|(key, stored)| Some(decode(&stored?.value, key)));
        let users = users.collect::<Result<Vec<User>, Error>>()?;
        let last = page.keys.last().filter(|_| page.more).and_then(|key| UserId::parse(key).ok());
        Ok((users, last))
    }
}
