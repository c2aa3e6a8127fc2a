//! Secrets of one run: bearer tokens and the key that signs service-account tokens.
//! They protect nothing beyond a control plane on loopback that lives for minutes.

use data_encoding::{BASE64, HEXLOWER};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use crate::{Context, Result};

/// What stands before the point in a P-256 public key (SubjectPublicKeyInfo, RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key pair as PEM.
pub(crate) struct SigningKey {
    /// PKCS#8.
    pub(crate) private: String,
    /// SubjectPublicKeyInfo.
    pub(crate) public: String,
}

/// A fresh P-256 key: made in a millisecond, where an RSA key takes seconds.
pub(crate) fn signing_key() -> Result<SigningKey> {
    let what = "service-account key: cannot make it";
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).context(what)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).context(what)?;
    let mut public = P256_SPKI_PREFIX.to_vec();
    public.extend_from_slice(pair.public_key().as_ref());
    Ok(SigningKey {
        private: pem("PRIVATE KEY", private.as_ref()),
        public: pem("PUBLIC KEY", &public),
    })
}

/// A token nobody on the machine can guess.
pub(crate) fn token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .context("token: no random bytes")?;
    Ok(HEXLOWER.encode(&bytes))
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = BASE64.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
