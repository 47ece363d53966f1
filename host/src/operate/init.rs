use super::{Error, Operate};
use crate::{
    barrier::{self, Init, InitCode},
    config::Seal,
    sensitive::Secret,
};

/// Into how many shares the key is split, and how many of them open the store.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    pub shares: u8,
    pub threshold: u8,
}

/// Told once, and kept nowhere.
#[derive(Debug)]
pub struct Initialised {
    pub shares: Vec<Secret<String>>,
    /// None: the store is made and the token is not. Shares will make another, once they can.
    pub root_token: Option<Secret<String>>,
}

impl Operate {
    /// Is it the code? Changes nothing.
    pub async fn check_code(&self, given: &str) -> Result<(), Error> {
        check(self.0.code.lock().await.as_ref(), given)
    }

    /// Makes the store, for whoever can read the code that the server wrote into its data folder.
    pub async fn init(&self, given: &str, shares: Option<Shares>) -> Result<Initialised, Error> {
        let mut code = self.0.code.lock().await;
        check(code.as_ref(), given)?;
        let how = match (&self.0.seal, shares) {
            (Seal::Shamir, shares) => {
                let Shares { shares, threshold } = shares.unwrap_or(Shares { shares: 5, threshold: 3 });
                Init::Shamir { shares, threshold }
            }
            (_, Some(_)) => return Err(Error::Shares("goes with the seal kind shamir only")),
            (_, None) => Init::KeyFile(self.key()?),
        };
        // In a task of its own: whoever hangs up now must not leave a store without shares.
        let operate = self.clone();
        let made = tokio::spawn(async move { operate.make(how).await }).await.map_err(|_| Error::Ended)??;
        if let Some(code) = code.take()
            && let Err(error) = code.remove()
        {
            tracing::warn!(%error, "the init code is of no use any more and could not be removed");
        }
        Ok(made)
    }

    /// Opens the store with the key that the machine gives, if it gives one; makes it, in dev.
    pub async fn open_with_key(&self) -> Result<(), Error> {
        let status = self.0.barrier.status().await?;
        match (&self.0.seal, status.initialized) {
            (Seal::Shamir, true) => tracing::info!("sealed: waiting for shares"),
            (Seal::Dev, false) => drop(self.make(Init::Dev(self.key()?)).await?),
            (_, false) => tracing::info!("not initialised: the code for init is in the data folder"),
            (_, true) if status.sealed_by_order => tracing::warn!("sealed by order: waiting for an unseal"),
            (_, true) => {
                self.0.barrier.unseal_key(&self.key()?).await?;
                self.finish().await?;
            }
        }
        Ok(())
    }

    async fn make(&self, how: Init) -> Result<Initialised, Error> {
        let made = self.0.barrier.init(how).await?;
        // From here on there are shares that nobody else knows: they are told, whatever fails.
        let rest = async {
            self.finish().await?;
            self.root_token().await
        };
        let told = rest.await.inspect_err(|error| tracing::error!(%error, "the store is made, its root token is not"));
        Ok(Initialised { shares: made.shares, root_token: told.ok() })
    }

    /// Mounts what is shipped, if a kill came between, and reads what access rests on.
    pub(super) async fn finish(&self) -> Result<(), Error> {
        self.bring_up().await?;
        self.seed().await
    }

    fn key(&self) -> Result<Secret<[u8; 32]>, Error> {
        match &self.0.seal {
            Seal::KeyFile(path) => barrier::read_key(path).map_err(|error| Error::Key(error.to_string())),
            Seal::Key(key) => Ok(key.clone()),
            Seal::Dev => barrier::dev_key(&self.0.data_dir).map_err(|error| Error::Key(error.to_string())),
            Seal::Shamir => Err(Error::Key("is in shares".to_owned())),
        }
    }
}

fn check(code: Option<&InitCode>, given: &str) -> Result<(), Error> {
    match code {
        None => Err(Error::Initialised),
        Some(code) if code.check(given) => Ok(()),
        Some(_) => Err(Error::Code),
    }
}
