//! HMAC-SHA1 whose two key blocks are hashed once per key (RFC 2104): two compressions less per packet.

use sha1::block_api::compress;
use sha1::{Digest, Sha1};
use zeroize::{Zeroize, ZeroizeOnDrop};

const BLOCK: usize = 64;
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct HmacSha1 {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl HmacSha1 {
    /// A key longer than a block counts by its hash (RFC 2104 §2).
    pub(crate) fn new(key: &[u8]) -> HmacSha1 {
        let mut short = [0; BLOCK];
        match short.get_mut(..key.len()) {
            Some(room) => room.copy_from_slice(key),
            None => {
                for (byte, hashed) in short.iter_mut().zip(Sha1::digest(key)) {
                    *byte = hashed;
                }
            }
        }
        let state_after = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(&short) {
                *byte ^= *key;
            }
            let mut state = INITIAL;
            compress(&mut state, &[block]);
            block.zeroize();
            state
        };
        let (inner, outer) = (state_after(0x36), state_after(0x5c));
        short.zeroize();
        HmacSha1 { inner, outer }
    }

    /// The MAC of `message || trailer`; the trailer is SRTP's rollover counter, or empty.
    pub(crate) fn mac(&self, message: &[u8], trailer: &[u8]) -> [u8; 20] {
        let mut state = self.inner;
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        compress(&mut state, blocks);

        debug_assert!(trailer.len() <= 4);
        let mut tail = [0u8; 2 * BLOCK];
        let used = rest.len() + trailer.len();
        let end_marker = [0x80u8];
        for (slot, byte) in tail.iter_mut().zip(rest.iter().chain(trailer).chain(&end_marker)) {
            *slot = *byte;
        }
        let bits = 8 * (BLOCK + message.len() + trailer.len()) as u64;
        let (tail, _) = tail.as_chunks_mut::<BLOCK>();
        // 0x80 and the 64-bit length must fit behind the message (FIPS 180-4 §5.1.1).
        let tail = if used + 9 <= BLOCK {
            tail.split_at_mut(1).0
        } else {
            tail
        };
        if let Some(length) = tail.as_flattened_mut().last_chunk_mut::<8>() {
            *length = bits.to_be_bytes();
        }
        compress(&mut state, tail);

        let mut block = [0u8; BLOCK];
        let (words, _) = block.as_chunks_mut::<4>();
        for (slot, word) in words.iter_mut().zip(state) {
            *slot = word.to_be_bytes();
        }
        block[20] = 0x80;
        block[56..].copy_from_slice(&(8 * (BLOCK as u64 + 20)).to_be_bytes());
        let mut state = self.outer;
        compress(&mut state, &[block]);

        let mut mac = [0u8; 20];
        let (words, _) = mac.as_chunks_mut::<4>();
        for (slot, word) in words.iter_mut().zip(state) {
            *slot = word.to_be_bytes();
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::HmacSha1;
    use aws_lc_rs::hmac;

    #[test]
    fn keys_of_every_length_agree_with_aws_lc() {
        for length in 0..150u8 {
            let key: Vec<u8> = (0..length).map(|i: u8| i ^ 0x5a).collect();
            let theirs = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
            let ours = HmacSha1::new(&key).mac(b"message", &[]);
            assert_eq!(ours[..], *hmac::sign(&theirs, b"message").as_ref(), "{length}");
        }
    }

    /// Every tail length, against another implementation.
    #[test]
    fn agrees_with_aws_lc() {
        let key: [u8; 20] = std::array::from_fn(|i| i as u8 * 7);
        let ours = HmacSha1::new(&key);
        let theirs = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        let message: Vec<u8> = (0..300).map(|i| i as u8).collect();
        for length in 0..message.len() {
            for trailer in [&[][..], &[1, 2, 3, 4][..]] {
                let joined = [&message[..length], trailer].concat();
                assert_eq!(
                    ours.mac(&message[..length], trailer),
                    hmac::sign(&theirs, &joined).as_ref()[..]
                );
            }
        }
    }
}
