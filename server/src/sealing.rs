//! What must be kept but not read by whoever copies the database: sealed with a key that is not in it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Seals and opens texts (AES-256-GCM).
pub struct Seal(RandomizedNonceKey);

impl Seal {
    /// A seal with this key; `None` when it has not the length of one.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Seal> {
        RandomizedNonceKey::new(&AES_256_GCM, key).ok().map(Seal)
    }

    /// Seals a text for one place: it cannot be opened as that of another. `None` when the system
    /// gives no randomness.
    #[must_use]
    pub fn close(&self, place: &str, text: &str) -> Option<String> {
        let mut sealed = text.as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut sealed)
            .ok()?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Some(STANDARD_NO_PAD.encode(whole))
    }

    /// Opens what was sealed for this place; `None` when another key sealed it, or something in it was
    /// changed.
    #[must_use]
    pub fn open(&self, place: &str, sealed: &str) -> Option<String> {
        let whole = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut text)
            .ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_and_only_in_the_same_place() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.close("a", "whsec_secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(seal.open("a", &sealed).as_deref(), Some("whsec_secret"));
        assert_eq!(seal.open("b", &sealed), None);
        assert_eq!(Seal::new(&[8; 32]).unwrap().open("a", &sealed), None);
        assert_ne!(seal.close("a", "whsec_secret").unwrap(), sealed);
        for broken in ["", "AAAA", "not base64!", sealed.split_at(1).1] {
            assert_eq!(seal.open("a", broken), None);
        }
    }
}
