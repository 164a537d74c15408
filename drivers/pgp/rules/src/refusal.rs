// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why something is not believed.

use core::num::NonZeroU32;

/// Makes an enum of refusals: for each its errno, and a sentence for the log.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $errno:ident, $sentence:literal;)*) => {
        /// Why something is not believed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $(#[doc = $sentence] $(#[$doc])* $name,)*
        }

        impl Refusal {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number of the error, positive.
            pub const fn errno(self) -> NonZeroU32 {
                match self {
                    $(Self::$name => $errno,)*
                }
            }

            /// Which check it was, for the log: no capital at the front, no full stop at the end.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }
        }
    };
}

impl Refusal {
    /// Does it end the whole matter? Others are one signature's or one subkey's own affair.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Reply | Self::TooManySignatures | Self::HashFailed | Self::NoMemory
        )
    }
}

/// What the handler says of itself.
impl From<pgp_proto::Refusal> for Refusal {
    fn from(refusal: pgp_proto::Refusal) -> Self {
        use pgp_proto::Refusal as Handler;
        match refusal {
            Handler::NotMine => Self::NotMine,
            Handler::Invalid => Self::Malformed,
            Handler::Cut => Self::Cut,
            Handler::Unsupported => Self::Unsupported,
            Handler::Compressed => Self::Compressed,
            Handler::Partial => Self::Partial,
            Handler::Several => Self::SeveralKeys,
            Handler::TooMany => Self::TooMany,
            Handler::NoRoom => Self::Reply,
        }
    }
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MAX,
    }
}

const ENOMEM: NonZeroU32 = number(12);
const ENOPKG: NonZeroU32 = number(65);
const EBADMSG: NonZeroU32 = number(74);
const EMSGSIZE: NonZeroU32 = number(90);
const EKEYEXPIRED: NonZeroU32 = number(127);
const EKEYREVOKED: NonZeroU32 = number(128);
const EKEYREJECTED: NonZeroU32 = number(129);

refusals! {
    NotAKey = EBADMSG, "the first packet is not a public key";
    Length = EBADMSG, "the first packet does not end within the input";
    KeyVersion = ENOPKG, "the key is neither of version 4 nor of version 6";
    KeyMalformed = EBADMSG, "the key's packet is malformed";
    KeyUnsupported = ENOPKG, "keys of this algorithm or size are not supported";
    Number = EBADMSG, "a number in a packet has leading zeros, a wrong bit count, or too many bits";
    SignatureVersion = ENOPKG, "the signature is of none of the versions 3, 4 and 6";
    SignatureMalformed = EBADMSG, "the signature's packet is malformed";
    SignatureUnsupported = ENOPKG, "signatures of this algorithm are not supported";
    SignatureType = EBADMSG, "the signature is not of a type that is over this";
    HashUnsupported = ENOPKG, "hashes of this algorithm are not supported";
    HashWeak = EKEYREJECTED, "the signature is over a hash that is too weak";
    HashFailed = ENOMEM, "hashing failed";
    NoMemory = ENOMEM, "there is no memory";
    BadSignature = EKEYREJECTED, "the signature is not this key's over this";
    NoSelfSignature = EKEYREJECTED, "no self-signature vouches for the key";
    NoBackSignature = EKEYREJECTED, "a subkey does not say itself that it signs for this key";
    TooManySignatures = EKEYREJECTED, "there are more signatures than are looked at";
    Critical = EKEYREJECTED, "the signature says something critical that is not understood";
    SignatureTime = EKEYREJECTED, "the signature does not say when it was made, or is older than its key";
    SignatureExpired = EKEYEXPIRED, "the signature has expired";
    KeyFuture = EKEYREJECTED, "the key was made in the future";
    KeyExpired = EKEYEXPIRED, "the key has expired";
    KeyRevoked = EKEYREVOKED, "the key has been revoked";
    KeyUsage = EKEYREJECTED, "the key may not sign data";
    Reply = EBADMSG, "the handler's reply is wrong";
    NotMine = EBADMSG, "this does not begin as it should";
    Malformed = EBADMSG, "this breaks a rule of its format";
    Cut = EBADMSG, "this ends too soon";
    Unsupported = ENOPKG, "this is of a version, an algorithm or a kind that is not read";
    Compressed = ENOPKG, "this is compressed, and nothing is unpacked here";
    Partial = ENOPKG, "this comes in pieces";
    SeveralKeys = EBADMSG, "there is more than one key";
    TooMany = EMSGSIZE, "there are more parts than a reply has room for";
    TooLong = EMSGSIZE, "this is longer than it may be";
    Package = EBADMSG, "this is no RPM package, or a damaged one";
    Unsigned = EKEYREJECTED, "the package's header is not signed";
    PackageSignature = ENOPKG, "the package is signed only in ways that are not read";
    PayloadUnsupported = ENOPKG, "the package has no digest of its payload that is supported";
    Payload = EKEYREJECTED, "the payload is not what the header says";
    Room = EMSGSIZE, "there is not enough room for the result";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_sentence_of_its_own_and_an_errno() {
        for (number, refusal) in Refusal::ALL.iter().enumerate() {
            assert!(refusal.errno().get() <= 133);
            assert!(!refusal.sentence().ends_with('.'));
            for other in Refusal::ALL.iter().skip(number + 1) {
                assert_ne!(refusal.sentence(), other.sentence());
            }
        }
    }
}
