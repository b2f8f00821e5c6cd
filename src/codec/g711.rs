//! G.711, both laws, by tables made at compile time (8 kHz, one byte a sample).

#![allow(
    clippy::indexing_slicing,
    reason = "each table has an entry for every value of its index type"
)]

/// The companding law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// µ-law, PCMU.
    Mu,
    /// A-law, PCMA.
    A,
}

impl Law {
    /// The byte that stands for silence.
    pub const fn silence(self) -> u8 {
        match self {
            Law::Mu => 0xff,
            Law::A => 0xd5,
        }
    }

    /// One sample in, one byte out.
    #[inline]
    pub fn encode_sample(self, sample: i16) -> u8 {
        // µ-law quantises 14 bits, A-law 13 (G.711 tables 1 and 2): the low bits don't matter, so the tables fit L1.
        match self {
            Law::Mu => MU_ENCODE[usize::from(sample as u16 >> 2)],
            Law::A => A_ENCODE[usize::from(sample as u16 >> 3)],
        }
    }

    /// One byte in, one sample out.
    #[inline]
    pub fn decode_sample(self, byte: u8) -> i16 {
        match self {
            Law::Mu => MU_DECODE[usize::from(byte)],
            Law::A => A_DECODE[usize::from(byte)],
        }
    }

    /// Encodes as many samples as `bytes` takes; returns how many.
    pub fn encode(self, samples: &[i16], bytes: &mut [u8]) -> usize {
        for (byte, sample) in bytes.iter_mut().zip(samples) {
            *byte = self.encode_sample(*sample);
        }
        bytes.len().min(samples.len())
    }

    /// Decodes as many bytes as `samples` takes; returns how many.
    pub fn decode(self, bytes: &[u8], samples: &mut [i16]) -> usize {
        for (sample, byte) in samples.iter_mut().zip(bytes) {
            *sample = self.decode_sample(*byte);
        }
        bytes.len().min(samples.len())
    }
}

static MU_ENCODE: [u8; 1 << 14] = mu_encode_table();
static A_ENCODE: [u8; 1 << 13] = a_encode_table();
static MU_DECODE: [i16; 256] = mu_decode_table();
static A_DECODE: [i16; 256] = a_decode_table();

const fn mu_encode_table() -> [u8; 1 << 14] {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        let linear = if index < 1 << 13 {
            index as i32
        } else {
            index as i32 - (1 << 14)
        };
        table[index] = mu_compress(linear);
        index += 1;
    }
    table
}

/// `linear` has 14 bits with sign. The bias of 33 makes every segment start at a power of two.
const fn mu_compress(linear: i32) -> u8 {
    let sign = if linear < 0 { 0x80 } else { 0 };
    let magnitude = linear.abs();
    let biased = if magnitude > 8158 { 8191 } else { magnitude + 33 };
    let segment = biased.ilog2() - 5;
    let step = biased >> (segment + 1) & 0x0f;
    !(sign | (segment << 4) as u8 | step as u8)
}

const fn mu_decode_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = !(index as u8);
        let segment = byte >> 4 & 7;
        let step = (byte & 0x0f) as i32;
        // Middle of the step, as 16 bits.
        let magnitude = (((step << 3) + 132) << segment) - 132;
        table[index] = if byte & 0x80 != 0 {
            -magnitude as i16
        } else {
            magnitude as i16
        };
        index += 1;
    }
    table
}

const fn a_encode_table() -> [u8; 1 << 13] {
    let mut table = [0; 1 << 13];
    let mut index = 0;
    while index < table.len() {
        let linear = if index < 1 << 12 {
            index as i32
        } else {
            index as i32 - (1 << 13)
        };
        table[index] = a_compress(linear);
        index += 1;
    }
    table
}

/// `linear` has 13 bits with sign. Even bits are inverted on the line.
const fn a_compress(linear: i32) -> u8 {
    let (sign, magnitude) = if linear < 0 { (0, -linear - 1) } else { (0x80, linear) };
    let (segment, step) = if magnitude < 32 {
        (0, magnitude >> 1)
    } else {
        let segment = magnitude.ilog2() - 4;
        (segment, magnitude >> segment & 0x0f)
    };
    (sign | (segment << 4) as u8 | step as u8) ^ 0x55
}

const fn a_decode_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8 ^ 0x55;
        let segment = byte >> 4 & 7;
        let step = ((byte & 0x0f) as i32) << 4;
        let magnitude = if segment == 0 {
            step + 8
        } else {
            (step + 264) << (segment - 1)
        };
        table[index] = if byte & 0x80 != 0 {
            magnitude as i16
        } else {
            -magnitude as i16
        };
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::level;

    /// G.711 tables 5 and 6: these eight bytes repeated are 1 kHz at 0 dBm0, which is 3.17 dB (µ) and 3.14 dB (A) below
    /// the loudest sine, and that is at -3.01 dBov.
    #[test]
    fn digital_milliwatt() {
        let milliwatts = [
            (Law::Mu, [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e], -6.18),
            (Law::A, [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4], -6.15),
        ];
        for (law, bytes, wanted) in milliwatts {
            let mut samples = [0; 8];
            assert_eq!(law.decode(&bytes, &mut samples), 8);
            assert!((level(&samples) - wanted).abs() < 0.15, "{law:?} {}", level(&samples));
            assert_eq!(
                samples[..4].iter().map(|sample| -sample).collect::<Vec<_>>(),
                samples[4..]
            );
        }
    }

    #[test]
    fn known_values() {
        let known = [
            (Law::Mu, 0, 0xff),
            (Law::Mu, 32_124, 0x80),
            (Law::Mu, 32_767, 0x80),
            (Law::Mu, -32_768, 0x00),
            (Law::Mu, 8, 0xfe),
            (Law::A, 0, 0xd5),
            (Law::A, -1, 0x55),
            (Law::A, 32_256, 0xaa),
            (Law::A, 32_767, 0xaa),
            (Law::A, -32_768, 0x2a),
        ];
        for (law, sample, byte) in known {
            assert_eq!(law.encode_sample(sample), byte, "{law:?} {sample}");
        }
        assert_eq!(
            (Law::Mu.decode_sample(0x80), Law::Mu.decode_sample(0x00)),
            (32_124, -32_124)
        );
        assert_eq!((Law::A.decode_sample(0xaa), Law::A.decode_sample(0xd5)), (32_256, 8));
    }

    #[test]
    fn every_byte_survives() {
        for law in [Law::Mu, Law::A] {
            for byte in 0..=255u8 {
                let again = law.encode_sample(law.decode_sample(byte));
                // µ-law has a negative zero, which becomes the positive one.
                let wanted = if (law, byte) == (Law::Mu, 0x7f) { 0xff } else { byte };
                assert_eq!(again, wanted, "{law:?} {byte:#x}");
            }
            assert!(law.decode_sample(law.silence()).abs() <= 8);
        }
    }

    #[test]
    fn the_error_stays_within_half_a_step() {
        for law in [Law::Mu, Law::A] {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(law.decode_sample(law.encode_sample(sample))) - i32::from(sample)).abs();
                // 16 steps a segment: at most 1/32 of the magnitude, plus the smallest step and the clipped end.
                assert!(
                    error <= i32::from(sample).abs() / 32 + 12 || i32::from(sample).abs() > 32_124,
                    "{law:?} {sample} {error}"
                );
            }
        }
    }
}
