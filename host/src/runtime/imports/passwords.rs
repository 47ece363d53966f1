use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, Version,
    password_hash::phc::{PasswordHash, Salt},
};
use zeroize::Zeroizing;

use super::super::{Argon2Cost, Fault, sandbox::Stop, workers::Workers};
use crate::{ids, limits};

/// Argon2id on the blocking pool. As many at once as there are processors: each takes its
/// memory for as long as it runs, and a flood of logins must not take all.
pub(in crate::runtime) struct Passwords(Workers);

/// What a hash must have cost to be looked at.
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

impl Passwords {
    pub(in crate::runtime) fn new(at_once: usize) -> Self {
        Self(Workers::new(at_once))
    }

    /// A PHC string.
    pub(super) async fn hash(&self, password: Zeroizing<String>, cost: Argon2Cost) -> Result<String, Stop> {
        check_length(&password)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost)?);
        let salt = ids::random::<SALT_BYTES>();
        self.run(move || argon.hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())).await
    }

    /// With no hash it does the work that a hash of today would take, and answers false.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        phc: Option<&str>,
        cost: Argon2Cost,
    ) -> Result<bool, Stop> {
        check_length(&password)?;
        let known = phc.map(parse).transpose()?;
        let (argon, salt) = match &known {
            Some(known) => (known.argon.clone(), known.salt),
            None => {
                let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(cost)?);
                (argon, Salt::new(&[0; SALT_BYTES]).map_err(|_| unreadable())?)
            }
        };
        let made = self.run(move || argon.hash_password_with_salt(password.as_bytes(), salt.as_ref())).await?;
        let made = made.hash.as_ref().map_or(&[][..], |output| output.as_bytes());
        let wanted = known.as_ref().map_or(&[0; OUTPUT_BYTES][..], |known| known.output.as_bytes());
        let equal = aws_lc_rs::constant_time::verify_slices_are_equal(made, wanted).is_ok();
        Ok(equal && known.is_some())
    }

    async fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Stop> {
        self.0.run(work).await?.map_err(|_| unreadable())
    }
}

/// Was it made with other parameters than these? What cannot be read was.
pub(super) fn is_outdated(phc: &str, cost: Argon2Cost) -> bool {
    let (Ok(known), Ok(present)) = (parse(phc), params(cost)) else { return true };
    let of = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    of(known.argon.params()) != of(&present) || known.output.len() != OUTPUT_BYTES || known.salt.len() < SALT_BYTES
}

struct Known {
    argon: Argon2<'static>,
    salt: Salt,
    output: argon2::password_hash::phc::Output,
}

/// The string came from a plugin: what it says it cost is bounded before anything is spent.
fn parse(phc: &str) -> Result<Known, Stop> {
    let hash = PasswordHash::new(phc).map_err(|_| unreadable())?;
    let params = Params::try_from(&hash).map_err(|_| unreadable())?;
    let dear = params.m_cost() > limits::PASSWORD_MEMORY_KIB
        || params.t_cost() > limits::PASSWORD_PASSES
        || params.p_cost() > limits::PASSWORD_LANES;
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(|_| unreadable())?;
    match (hash.salt, hash.hash) {
        (Some(salt), Some(output)) if hash.algorithm == Algorithm::Argon2id.ident() && !dear && output.len() >= 16 => {
            Ok(Known { argon: Argon2::new(Algorithm::Argon2id, version, params), salt, output })
        }
        _ => Err(unreadable()),
    }
}

fn params(cost: Argon2Cost) -> Result<Params, Fault> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(OUTPUT_BYTES));
    params.map_err(|_| Fault::Invalid("the parameters for passwords are not usable".to_owned()))
}

fn check_length(password: &str) -> Result<(), Stop> {
    match password.len() <= limits::PASSWORD_BYTES {
        true => Ok(()),
        false => Err(Stop::told("too-large", "a password must be at most 4096 bytes")),
    }
}

fn unreadable() -> Stop {
    Stop::told("invalid", "not an Argon2id hash that is verified here")
}
