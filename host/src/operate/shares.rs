use super::{Error, Operate, SysPath};
use crate::{
    barrier::{Ceremony, Gathered},
    policy::{Manage, Permit},
    sensitive::Secret,
};

/// Where a ceremony stands that needs shares.
#[derive(Debug)]
pub struct Brought<T> {
    pub nonce: String,
    pub progress: u8,
    pub threshold: u8,
    /// None until there are enough.
    pub made: Option<T>,
}

/// A share, and what it is brought for: a ceremony that begins, or one that has begun.
#[derive(Debug)]
pub enum Bring {
    First(Ceremony),
    More(String),
}

impl Operate {
    /// Another key for all values to come: its term.
    pub async fn rotate(&self, _permit: &Permit<Manage, SysPath>) -> Result<u32, Error> {
        Ok(self.0.barrier.rotate().await?)
    }

    /// Another root key in new shares: by permit and with the shares of now.
    pub async fn rekey(
        &self,
        _permit: &Permit<Manage, SysPath>,
        bring: Bring,
        share: &Secret<String>,
    ) -> Result<Brought<Vec<Secret<String>>>, Error> {
        let gathered = self.bring(bring, |ceremony| matches!(ceremony, Ceremony::Rekey { .. }), share).await?;
        let Gathered { nonce, progress, threshold, proof, ceremony } = gathered;
        let made = match (proof, ceremony) {
            // In a task of its own: whoever hangs up now must not leave a store without shares.
            (Some(proof), Ceremony::Rekey { shares, threshold }) => {
                let barrier = self.0.barrier.clone();
                let rekey = tokio::spawn(async move { barrier.rekey(proof, shares, threshold).await });
                Some(rekey.await.map_err(|_| Error::Ended)??)
            }
            _ => None,
        };
        Ok(Brought { nonce, progress, threshold, made })
    }

    /// A root token for whoever brings enough shares: the way back in when every admin is gone.
    pub async fn generate_root(&self, bring: Bring, share: &Secret<String>) -> Result<Brought<Secret<String>>, Error> {
        let gathered = self.bring(bring, |ceremony| ceremony == Ceremony::RootToken, share).await?;
        let made = match &gathered.proof {
            Some(_) => Some(self.root_token().await?),
            None => None,
        };
        let Gathered { nonce, progress, threshold, .. } = gathered;
        Ok(Brought { nonce, progress, threshold, made })
    }

    /// Whoever shows nothing of this store's changes nothing, so that nothing need be recorded before. `to_unseal`: it
    /// may be sealed.
    pub async fn recognise(&self, share: &Secret<String>, to_unseal: bool) -> Result<(), Error> {
        Ok(self.0.barrier.recognise(share, to_unseal).await?)
    }

    async fn bring(&self, bring: Bring, is: fn(Ceremony) -> bool, share: &Secret<String>) -> Result<Gathered, Error> {
        Ok(match bring {
            Bring::First(ceremony) => self.0.barrier.begin(ceremony, share).await?,
            Bring::More(nonce) => self.0.barrier.join(is, &nonce, share).await?,
        })
    }
}
