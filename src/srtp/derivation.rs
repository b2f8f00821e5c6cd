//! Session keys from the master key (RFC 3711 §4.3), key derivation rate 0.

use super::SrtpError;
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// What a derived key is for (RFC 3711 §4.3.1): the label for SRTP, plus 3 for SRTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Encryption,
    Authentication,
    Salt,
}

/// Which of the two protocols a session key serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

/// An AES-128 key schedule for counter mode.
pub(super) fn counter_mode(key: &[u8; 16]) -> Result<EncryptingKey, SrtpError> {
    let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| SrtpError::Cipher)?;
    EncryptingKey::ctr(key).map_err(|_| SrtpError::Cipher)
}

/// Adds the keystream that starts at counter block `iv`.
pub(super) fn apply_keystream(key: &EncryptingKey, iv: &[u8; 16], data: &mut [u8]) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(data, context)
        .map(drop)
        .map_err(|_| SrtpError::Cipher)
}

/// Derives `N` bytes: AES-CM under the master key at counter block `(label * 2^48 XOR salt) * 2^16`.
pub(super) fn derive<const N: usize>(
    master: &EncryptingKey,
    salt: &[u8; 14],
    protocol: Protocol,
    purpose: Purpose,
) -> Result<[u8; N], SrtpError> {
    let label = match purpose {
        Purpose::Encryption => 0,
        Purpose::Authentication => 1,
        Purpose::Salt => 2,
    } + match protocol {
        Protocol::Rtp => 0,
        Protocol::Rtcp => 3,
    };
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    let mut derived = [0; N];
    apply_keystream(master, &iv, &mut derived)?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 B.3.
    #[test]
    fn rfc_3711_b3() {
        let master = counter_mode(&0xE1F97A0D3E018BE0D64FA32C06DE4139_u128.to_be_bytes()).unwrap();
        let salt: [u8; 14] = 0x0EC675AD498AFEEBB6960B3AABE6_u128.to_be_bytes()[2..]
            .try_into()
            .unwrap();
        let key: [u8; 16] = derive(&master, &salt, Protocol::Rtp, Purpose::Encryption).unwrap();
        assert_eq!(u128::from_be_bytes(key), 0xC61E7A93744F39EE10734AFE3FF7A087);
        let session_salt: [u8; 14] = derive(&master, &salt, Protocol::Rtp, Purpose::Salt).unwrap();
        assert_eq!(session_salt[..], 0x30CBBC08863D8C85D49DB34A9AE1_u128.to_be_bytes()[2..]);
        let authentication: [u8; 94] = derive(&master, &salt, Protocol::Rtp, Purpose::Authentication).unwrap();
        let blocks = [
            0xCEBE321F6FF7716B6FD4AB49AF256A15_u128,
            0x6D38BAA48F0A0ACF3C34E2359E6CDBCE,
            0xE049646C43D9327AD175578EF7227098,
            0x6371C10C9A369AC2F94A8C5FBCDDDC25,
            0x6D6E919A48B610EF17C2041E47403576,
            0x6B68642C59BBFC2F34DB60DBDFB20000,
        ];
        let wanted: Vec<u8> = blocks.iter().flat_map(|block| block.to_be_bytes()).take(94).collect();
        assert_eq!(authentication[..], wanted);
    }

    /// RFC 3711 B.2.
    #[test]
    fn rfc_3711_b2() {
        let key = counter_mode(&0x2B7E151628AED2A6ABF7158809CF4F3C_u128.to_be_bytes()).unwrap();
        let iv = 0xF0F1F2F3F4F5F6F7F8F9FAFBFCFD0000_u128.to_be_bytes();
        let mut stream = vec![0; 0xFF02 * 16];
        apply_keystream(&key, &iv, &mut stream).unwrap();
        let block = |n: usize| u128::from_be_bytes(stream[16 * n..16 * n + 16].try_into().unwrap());
        assert_eq!(block(0), 0xE03EAD0935C95E80E166B16DD92B4EB4);
        assert_eq!(block(1), 0xD23513162B02D0F72A43A2FE4A5F97AB);
        assert_eq!(block(2), 0x41E95B3BB0A2E8DD477901E4FCA894C0);
        assert_eq!(block(0xFEFF), 0xEC8CDF7398607CB0F2D21675EA9EA1E4);
        assert_eq!(block(0xFF00), 0x362B7C3C6773516318A077D7FC5073AE);
        assert_eq!(block(0xFF01), 0x6A2CC3787889374FBEB4C81B17BA6C44);
    }
}
