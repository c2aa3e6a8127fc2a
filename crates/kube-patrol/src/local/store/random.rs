//! Random identities from the system. Nothing is decided by them.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// By the system call: a container without a base has no device to read them from.
fn bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    match getrandom(&mut bytes[..], GetRandomFlags::empty())? {
        16 => Ok(bytes),
        n => Err(io::Error::other(format!("{n} random bytes of 16"))),
    }
}

/// 32 hexadecimal digits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn hex() -> io::Result<String> {
    bytes().map(|bytes| format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// A random UUID (version 4).
///
/// # Errors
/// As [`hex`].
pub fn uuid() -> io::Result<String> {
    let mut value = u128::from_be_bytes(bytes()?);
    value = value & !(0xf << 76) | (0x4 << 76);
    value = value & !(0x3 << 62) | (0x2 << 62);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        value >> 96,
        (value >> 80) & 0xffff,
        (value >> 64) & 0xffff,
        (value >> 48) & 0xffff,
        value & 0xffff_ffff_ffff
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_is_one_of_version_four_and_never_the_same() {
        let (a, b) = (super::uuid().unwrap(), super::uuid().unwrap());
        assert_ne!(a, b);
        let parts: Vec<_> = a.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&a[14..15], "4");
        assert!("89ab".contains(&a[19..20]));
    }
}
