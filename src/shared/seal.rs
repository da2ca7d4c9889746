//! Sealed values: AES-256-GCM under a key for the full name, with format and name as associated data.
//!
//! Layout: format (1 byte), id of the secret (4), nonce (12), ciphertext, tag (16).

use ring::aead::{self, Aad, Nonce};
use ring::rand::{SecureRandom, SystemRandom};

use super::secret::{Secret, Secrets};

/// Seals a value for a name. Returns `None` if the system has no random bytes.
pub(super) fn seal(secrets: &Secrets, name: &str, mut plain: Vec<u8>) -> Option<Vec<u8>> {
    let secret = secrets.primary();
    let mut nonce = [0; aead::NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let key = secret.sealing_key(name)?;
    let tag = key.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        associated_data(secret, name),
        &mut plain,
    );
    let tag = tag.ok()?;
    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + plain.len());
    sealed.push(FORMAT);
    sealed.extend(secret.id);
    sealed.extend(nonce);
    sealed.append(&mut plain);
    sealed.extend(tag.as_ref());
    Some(sealed)
}

/// Opens a sealed value of a name. Returns `None` for another format, another secret, another name, or changed bytes.
pub(super) fn open(secrets: &Secrets, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let head = sealed.first_chunk::<HEAD_BYTES>()?;
    let nonce = *head.last_chunk::<{ aead::NONCE_LEN }>()?;
    let [format, a, b, c, d, ..] = *head;
    let id = [a, b, c, d];
    if format != FORMAT {
        return None;
    }
    let secret = secrets.find(id)?;
    let key = secret.sealing_key(name)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key.open_within(nonce, associated_data(secret, name), &mut sealed, HEAD_BYTES..).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}

fn associated_data(secret: &Secret, name: &str) -> Aad<Vec<u8>> {
    let mut data = Vec::with_capacity(1 + 4 + name.len());
    data.push(FORMAT);
    data.extend(secret.id);
    data.extend(name.as_bytes());
    Aad::from(data)
}

/// Version of the layout and of the records in it. Another version is a miss.
pub(super) const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + aead::NONCE_LEN;
/// Bytes that a sealed value has beside its content.
pub(super) const OVERHEAD_BYTES: usize = HEAD_BYTES + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(line: &str) -> Secrets {
        Secrets::parse(line.repeat(4).as_bytes()).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_under_its_own_name_and_secret_only() {
        let own = secrets("01234567");
        let sealed = seal(&own, "cc:{a}:e:b", b"secret text".to_vec()).unwrap();
        assert_eq!(sealed.len(), OVERHEAD_BYTES + 11);
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(open(&own, "cc:{a}:e:b", sealed.clone()), Some(b"secret text".to_vec()));
        assert_eq!(open(&own, "cc:{a}:e:c", sealed.clone()), None);
        assert_eq!(open(&secrets("76543210"), "cc:{a}:e:b", sealed), None);
    }

    #[test]
    fn a_changed_or_shortened_value_does_not_open() {
        let own = secrets("01234567");
        let sealed = seal(&own, "n", b"text".to_vec()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&own, "n", changed), None, "{at}");
            assert_eq!(open(&own, "n", sealed[..at].to_vec()), None, "{at}");
        }
    }

    #[test]
    fn the_second_secret_opens_and_does_not_seal() {
        let (one, other) = ("01234567".repeat(4), "76543210".repeat(4));
        let (old, both) =
            (secrets("76543210"), Secrets::parse(format!("{one}\n{other}").as_bytes()).unwrap());
        let sealed = seal(&old, "n", b"old".to_vec()).unwrap();
        assert_eq!(open(&both, "n", sealed), Some(b"old".to_vec()));
        let sealed = seal(&both, "n", b"new".to_vec()).unwrap();
        assert_eq!(open(&old, "n", sealed), None);
    }
}
