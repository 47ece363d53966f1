use super::{
    Directory, Error, Link,
    keys::{self, Leads},
    read_for_change,
};
use crate::{
    barrier::Writes,
    ids::{MountId, UserId},
    limits,
};

impl Directory {
    /// Makes an identity lead to a user. It stays as it is if it does so already.
    pub async fn link(&self, to: &mut Writes, mount: &MountId, subject: &str, id: &UserId) -> Result<(), Error> {
        let mut user = self.find_for_change(to, id).await?;
        let keys = keys::of_link(&self.barrier, mount, subject)?;
        for key in &keys {
            match read_for_change::<Leads>(&self.links, to, key).await? {
                None => {}
                Some(Leads { user: Some(found) }) if found == *id => return Ok(()),
                Some(Leads { user: Some(_) }) => return Err(Error::Exists),
                Some(Leads { user: None }) => return Err(Error::Retired),
            }
        }
        if user.links.len() >= limits::LINKS_PER_USER {
            return Err(Error::TooMany("identities of one user"));
        }
        user.links.push(Link { mount: mount.clone(), subject: subject.to_owned() });
        self.links.put(to, &keys[0], &Leads { user: Some(id.clone()) }, None);
        self.users.put(to, id.as_str(), &user, None);
        Ok(())
    }

    /// Takes an identity from its user: it leads to nobody, and may lead to anybody from then on.
    pub async fn unlink(&self, to: &mut Writes, link: &Link, id: &UserId) -> Result<(), Error> {
        let mut user = self.find_for_change(to, id).await?;
        user.links.retain(|kept| kept != link);
        for key in keys::of_link(&self.barrier, &link.mount, &link.subject)? {
            let leads: Option<Leads> = read_for_change(&self.links, to, &key).await?;
            if leads.is_some_and(|leads| leads.user.as_ref() == Some(id)) {
                self.links.delete(to, &key);
            }
        }
        self.users.put(to, id.as_str(), &user, None);
        Ok(())
    }

    /// A tombstone in the place of a link: under every key, so that none is found behind it.
    pub(super) async fn retire(&self, to: &mut Writes, link: &Link) -> Result<(), Error> {
        for key in keys::of_link(&self.barrier, &link.mount, &link.subject)? {
            if read_for_change::<Leads>(&self.links, to, &key).await?.is_some() {
                self.links.put(to, &key, &Leads { user: None }, None);
            }
        }
        Ok(())
    }
}
