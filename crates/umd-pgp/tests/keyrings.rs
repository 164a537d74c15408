// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key of real keyrings, and what GnuPG says of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use pgp_proto::{ARMOR_HEADER_LEN, Armor, INPUT_MAX, Key, REPLY_MAX, Request, Ring, Subject};
use pgp_rules::{HashAlgorithm, Material, Signature, SignatureValue, der};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use support::{Gpg, Line, Listing};
use umd_pgp::{Keyring, RustCrypto};

/// Most bytes of a key that the kernel's parsers are asked about.
const KERNEL_MAX: usize = 65_535;

/// Hashes that the kernels have, and count for data.
const KERNEL_HASHES: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha224,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// The keys of a keyring, by the handler's code in this process.
fn split(ring: &[u8]) -> Vec<&[u8]> {
    let (mut keys, mut rest) = (Vec::new(), ring);
    let mut reply = vec![0; REPLY_MAX];
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(INPUT_MAX)];
        let mut message = Request::Ring.encode(piece.len() as u32).to_vec();
        message.extend(piece);
        let length = pgp_handler::answer(&message, &mut reply).unwrap();
        let places: Vec<_> = Ring::decode(&reply[..length], piece.len())
            .unwrap()
            .keys()
            .collect();
        let last = *places.last().unwrap();
        let is_end = last.end() as usize == rest.len();
        let whole = match is_end || places.len() == 1 {
            true => &places[..],
            false => &places[..places.len() - 1],
        };
        keys.extend(whole.iter().map(|place| place.of(piece).unwrap()));
        rest = &rest[whole.last().unwrap().end() as usize..];
    }
    keys
}

/// Without its armor.
fn binary(ring: Vec<u8>) -> Vec<u8> {
    if ring[0] & 0x80 != 0 {
        return ring;
    }
    let mut message = Request::Armor.encode(ring.len() as u32).to_vec();
    message.extend(&ring);
    let mut reply = vec![0; ARMOR_HEADER_LEN + ring.len()];
    let length = pgp_handler::answer(&message, &mut reply).unwrap();
    let armor = Armor::decode(&reply[..length], ring.len()).unwrap();
    armor.binary.to_vec()
}

/// What gpg says of all of them at once, at a time.
fn listing(ring: &Path, time: u64) -> Vec<Listing> {
    let gpg = Gpg::new();
    let output = Command::new("gpg")
        .arg("--homedir")
        .arg(gpg.home())
        .args(["--batch", "--quiet", "--with-colons"])
        .arg(format!("--faked-system-time={time}!"))
        .args(["--import-options", "show-only", "--import"])
        .arg(ring)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    Listing::read(&output.stdout)
}

/// `UMD_KEYRINGS` is a list of files, with colons between.
#[test]
#[ignore = "needs the keyrings that `cargo xtask keyrings` fetches, which then runs it"]
fn each_key_is_what_gnupg_says() {
    let rings = std::env::var("UMD_KEYRINGS").expect("UMD_KEYRINGS names keyrings");
    let (mut all, mut same) = (0, 0);
    for ring in rings.split(':').map(PathBuf::from) {
        let begin = Instant::now();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let bytes = binary(std::fs::read(&ring).unwrap());
        let theirs: BTreeMap<String, Listing> = listing(&ring, now)
            .into_iter()
            .map(|key| (key.primary.fingerprint.clone(), key.in_order(now)))
            .collect();
        let gpg_took = begin.elapsed();
        let begin = Instant::now();
        let keys = split(&bytes);
        let mut counts = BTreeMap::<String, usize>::new();
        let mut count = |what: String| *counts.entry(what).or_default() += 1;
        let mut agree = 0;
        for key in &keys {
            let primary = pgp_rules::key::primary(key, &RustCrypto).unwrap();
            let name = text(primary.fingerprint.as_bytes());
            if key.len() <= KERNEL_MAX {
                count("of at most 65535 bytes".to_string());
            }
            let theirs = theirs.get(&name).unwrap();
            let mut keyring = Keyring::new().unwrap();
            let (ours, why) = match keyring.add(key) {
                Ok(key) => (Listing::of(key), key.left_out),
                Err(error) => panic!("{name}: {error}\n# gpg: {theirs:?}"),
            };
            if key.len() > KERNEL_MAX {
                let small = keyring.minimize(key).unwrap();
                if small.key.len() <= KERNEL_MAX {
                    count("of at most 65535 bytes when minimized".to_string());
                }
            }
            if ours == *theirs {
                agree += 1;
            } else if let Some(why) = why
                && ours.is_less_than(theirs)
            {
                agree += 1;
                println!("# {name} lacks a subkey: {}", why.sentence());
                count(format!("with fewer subkeys ({why:?})"));
            } else {
                println!("# {name}: {ours:?}\n# gpg: {theirs:?}");
            }
        }
        println!(
            "{}: {agree} of {} keys are what gpg says, {counts:?}; {:.1?}, gpg: {gpg_took:.1?}",
            ring.file_name().unwrap().to_string_lossy(),
            keys.len(),
            begin.elapsed(),
        );
        all += keys.len();
        same += agree;
    }
    println!("{same} of {all}");
    assert_eq!(same, all);
}

fn text(fingerprint: &[u8]) -> String {
    fingerprint
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// Writes for each key what a kernel is to be given, and what it is to say: `NUMBER.pgp` is the key, `NUMBER.long` what was longer than a
/// kernel takes, and `NUMBER.expected` what gpg says at `UMD_KEYRINGS_TIME`, in lines of words. Of so many keys as `UMD_KEYRINGS_EVERY`
/// says one is written.
#[test]
#[ignore = "needs the keyrings that `cargo xtask keyrings --kernel K` fetches, which then runs it"]
fn each_key_is_written_for_a_kernel() {
    let rings = std::env::var("UMD_KEYRINGS").expect("UMD_KEYRINGS names keyrings");
    let out = PathBuf::from(std::env::var("UMD_KEYRINGS_OUT").expect("UMD_KEYRINGS_OUT is named"));
    let time = std::env::var("UMD_KEYRINGS_TIME").expect("UMD_KEYRINGS_TIME is the machine's");
    let time: u64 = time.parse().unwrap();
    let every = std::env::var("UMD_KEYRINGS_EVERY").expect("UMD_KEYRINGS_EVERY is a number");
    let every: usize = every.parse().unwrap();
    let (mut number, mut whole, mut minimized, mut claims) = (0, 0, 0, 0);
    let mut younger = 0;
    for ring in rings.split(':').map(PathBuf::from) {
        let bytes = binary(std::fs::read(&ring).unwrap());
        let theirs: BTreeMap<String, Listing> = listing(&ring, time)
            .into_iter()
            .map(|key| (key.primary.fingerprint.clone(), key))
            .collect();
        for key in split(&bytes).into_iter().step_by(every) {
            let primary = pgp_rules::key::primary(key, &RustCrypto).unwrap();
            if u64::from(primary.created) > time {
                younger += 1;
                continue;
            }
            let name = text(primary.fingerprint.as_bytes());
            let mut expected = expected(theirs.get(&name).unwrap(), time);
            let (claim, is_hashed) = claim(key);
            if !is_hashed {
                expected += "unknown\n";
            }
            if let Some(claim) = claim {
                expected += &claim;
                claims += 1;
            }
            let file = |kind: &str| out.join(format!("{number:04}.{kind}"));
            std::fs::write(file("expected"), expected).unwrap();
            let mut small = key.to_vec();
            if key.len() > KERNEL_MAX {
                std::fs::write(file("long"), key).unwrap();
                small = Keyring::new().unwrap().minimize(key).unwrap().key;
            }
            match (small.len() <= KERNEL_MAX, small.len() == key.len()) {
                (true, true) => whole += 1,
                (true, false) => minimized += 1,
                (false, _) => {}
            }
            let kind = if small.len() <= KERNEL_MAX {
                "pgp"
            } else {
                "longer"
            };
            std::fs::write(file(kind), small).unwrap();
            number += 1;
        }
    }
    println!(
        "{number} keys for a kernel: {whole} of them as they are, {minimized} minimized, {} too long; \
         {claims} with a signature by the primary key; {younger} more are younger than its clock",
        number - whole - minimized,
    );
    assert!(number > 0 && claims > 0);
}

/// What gpg says that matters to a kernel. Of subkeys those are told of that sign and are good, the newest first.
fn expected(key: &Listing, time: u64) -> String {
    let state = |line: &Line| {
        let has_expired = line.expires.is_some_and(|expires| expires <= time);
        match (line.revoked, has_expired, line.signs) {
            (true, ..) => "revoked",
            (_, true, _) => "expired",
            (.., false) => "useless",
            _ => "good",
        }
    };
    let mut lines = format!(
        "key {} {} {}\n",
        key.primary.fingerprint,
        state(&key.primary),
        key.primary.algorithm,
    );
    if let Some(user_id) = &key.user_id {
        lines += &format!("name {}\n", hex(user_id.chars().map(|char| char as u8)));
    }
    let mut subkeys: Vec<&Line> = key
        .subkeys
        .iter()
        .filter(|line| state(line) == "good")
        .collect();
    // The last one first, where they were made at one time.
    subkeys.reverse();
    subkeys.sort_by_key(|line| std::cmp::Reverse(line.created));
    for subkey in subkeys {
        lines += &format!("subkey {} {}\n", subkey.fingerprint, subkey.algorithm);
    }
    lines
}

/// A signature that the primary key has made: one about itself, taken apart for `keyctl pkey_verify`. So a kernel can be asked what it
/// thinks of the key. And whether kernels have the hashes of all that the primary key says of itself.
fn claim(key: &[u8]) -> (Option<String>, bool) {
    let primary = pgp_rules::key::primary(key, &RustCrypto).unwrap();
    let reply = support::reply(key).unwrap();
    let reply = Key::decode(&reply, key.len()).unwrap();
    let mut claims = Vec::new();
    for component in reply.components {
        if let Subject::UserId(place) = component.subject {
            let user_id = place.of(key).unwrap();
            claims.extend(component.signatures.map(|claim| (user_id, claim)));
        }
    }
    let is_known = |claim: &pgp_proto::Signature| {
        let body = claim.object.body.of(key).unwrap();
        Signature::read(body).is_ok_and(|signature| {
            let hash = signature.hash_algorithm();
            KERNEL_HASHES.contains(&hash) || hash == HashAlgorithm::Sha1
        })
    };
    let mut all = claims.iter().map(|(_, claim)| *claim).chain(reply.direct);
    let is_hashed = all.all(|claim| is_known(&claim));
    let claim = claims.into_iter().find_map(|(user_id, claim)| {
        let signature = Signature::read(claim.object.body.of(key)?).ok()?;
        let hash = signature.hash_algorithm();
        if !KERNEL_HASHES.contains(&hash) {
            return None;
        }
        let mut hashing = signature.hashing(&RustCrypto).ok()?;
        hashing.update(&[0x99]).unwrap();
        hashing
            .update(&(primary.body.len() as u16).to_be_bytes())
            .unwrap();
        hashing.update(primary.body).unwrap();
        hashing.update(&[0xb4]).unwrap();
        hashing
            .update(&(user_id.len() as u32).to_be_bytes())
            .unwrap();
        hashing.update(user_id).unwrap();
        let hashed = hashing.finish().unwrap();
        hashed.verify(&primary, &RustCrypto).ok()?;
        let (encoding, raw) = match (primary.material, *signature.value()) {
            (Material::Rsa { n, .. }, SignatureValue::Rsa { s }) => {
                ("pkcs1", [&vec![0; n.len() - s.len()], s].concat())
            }
            (_, SignatureValue::Pair { r, s }) => {
                let mut room = [0; der::PAIR_MAX];
                ("x962", der::pair(r, s, &mut room).unwrap().to_vec())
            }
            _ => return None,
        };
        let digest = hex(hashed.digest().as_bytes().iter().copied());
        let raw = hex(raw.into_iter());
        Some(format!("claim {encoding} {} {digest} {raw}\n", hash.name()))
    });
    (claim, is_hashed)
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// What gpgv says of a cleartext-signed file: the fingerprints of the keys whose signatures are good, and the text.
fn gpgv(keyring: &str, file: &Path) -> (Vec<String>, Vec<u8>) {
    let gpg = Gpg::new();
    let text = gpg.home().join("text");
    let output = Command::new("gpgv")
        .arg("--homedir")
        .arg(gpg.home())
        .args(["--status-fd=1", "--keyring", keyring, "--output"])
        .arg(&text)
        .arg(file)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let good = said
        .lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] VALIDSIG "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_string)
        .collect();
    (good, std::fs::read(text).unwrap_or_default())
}

/// `UMD_INRELEASE` is a list of files, one in a line. Those of other archives than Debian's have other keys: what is compared then is
/// that they are refused.
#[test]
#[ignore = "needs the keyring that `cargo xtask keyrings` fetches, and what apt has downloaded; it then runs it"]
fn what_apt_has_downloaded() {
    let files = std::env::var("UMD_INRELEASE").expect("UMD_INRELEASE names files");
    let archive = std::env::var("UMD_ARCHIVE_KEYRING").expect("UMD_ARCHIVE_KEYRING is named");
    let mut keys = Keyring::new().unwrap();
    let added = keys.add_all(&std::fs::read(&archive).unwrap()).unwrap();
    assert!(added.refused.is_empty());
    let changed = Gpg::new();
    let changed = (changed.home().join("InRelease"), changed);
    let (mut all, mut good) = (0, 0);
    for file in files.lines().map(Path::new) {
        let bytes = std::fs::read(file).unwrap();
        let (theirs, text) = gpgv(&archive, file);
        match keys.cleartext(&bytes) {
            Ok(message) => {
                let by = message.signed.by.fingerprint_text();
                assert!(theirs.contains(&by), "{file:?}: {by} is none of {theirs:?}");
                // The last line's end is not signed.
                assert_eq!(message.data, text.strip_suffix(b"\n").unwrap_or(&text));
                good += 1;
            }
            Err(error) => assert!(theirs.is_empty(), "{file:?}: {error}; gpgv: {theirs:?}"),
        }
        // A bit of a checksum's digit, in the middle.
        let mut forged = bytes.clone();
        let is_digit = |at: &usize| forged[*at].is_ascii_digit();
        let at = (forged.len() / 2..forged.len()).find(is_digit).unwrap();
        forged[at] ^= 1;
        std::fs::write(&changed.0, &forged).unwrap();
        let (theirs, _) = gpgv(&archive, &changed.0);
        assert!(theirs.is_empty() && keys.cleartext(&forged).is_err());
        all += 1;
    }
    println!("{good} of {all} InRelease files have a signature of the archive's, as gpgv says");
    assert!(good > 0, "none of the files is Debian's");
}
