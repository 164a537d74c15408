// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PGP driver: keys that GnuPG made, signatures by them, packages; and what is none of these.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::io::Errno;

use crate::harness::{Context, Mode, Topic, test, test_only};
use crate::keys::{self, add, keyctl, try_keyctl};
use crate::pgp::{
    self, DRIVER, HEADER_ONLY, MODULE, Request, TEXT, file, fingerprints, has_ecdsa, hex, path,
};
use crate::time::{timed, until};
use crate::{kernel, modules};

pub(crate) const TOPIC: Topic = Topic {
    name: "pgp",
    modules: &[MODULE],
    tests: &[
        test("keyctl adds a key that gpg made", gpgs_key),
        test("keyctl verifies what gpg signed", pkey_verify),
        // Before there are more lines than the log takes.
        test("a subkey that is not supported is left out", left_out),
        test(
            "a revocation over a hash that the kernel does not take",
            revoked_unread,
        ),
        test("ECDSA where the kernel has it", ecdsa),
        test("RSA of the sizes that the kernel takes", rsa),
        test("names move no cursor", shown_names),
        test("what is not supported is said in one line", unsupported),
        test("what is no key the handler never sees", not_ours),
        test("a subkey signs for its primary key", subkey),
        test("a detached signature", detached),
        test("more signatures than are tried", many_signatures),
        test("a signature over text", text),
        test(
            "keys of a keyring that is not in the session",
            other_session,
        ),
        test("a PGP key vouches for no certificate", no_authority),
        test("data in a file", in_a_file),
        test("a signed message", inline),
        test("expired, revoked, not for signing", states),
        test("keys in a keyring", keyring),
        test("a keyring of too many keys", many_keys),
        test("packages", packages),
        test("packages: a signature of version 3", version_3),
        test("markers in front, a revocation behind", around_a_key),
        test("a revoked copy by another name", revoked_copy),
        test("what is no request", no_requests),
        test("one open file is one transaction", one_transaction),
        test("keys and open files keep the module loaded", in_use),
        test("a handler that was killed is replaced", killed),
        test_only(Mode::Deterministic, "what it costs to add a key", cost),
    ],
};

const NOPKG: Errno = Errno::NOPKG;

/// All of a signature's bytes but one.
fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 1;
    changed
}

fn tail(fingerprint: &[u8]) -> String {
    hex(&fingerprint[fingerprint.len() - 8..])
}

fn gpgs_key(_: &Context) -> Result<()> {
    let serial = keyctl(&["padd", "asymmetric", "", "@u"], &file("rsa4096.pgp")?)?;
    let fingerprint = &fingerprints("rsa4096")?[0];
    let shown = keys::shown(serial.parse()?)?;
    let tail = tail(fingerprint);
    let expected = format!("rsa4096 <rsa4096@example.org>: {tail}: PGP.rsa");
    ensure!(shown.contains(&expected), "{shown}");
    for id in [format!("id:{tail}"), format!("ex:{}", hex(fingerprint))] {
        let found = keyctl(&["search", "@u", "asymmetric", &id], &[])?;
        ensure!(found == serial, "{id} finds {found}, not {serial}");
    }
    let told = keyctl(
        &["pkey_query", &serial, "0", "enc=pkcs1", "hash=sha256"],
        &[],
    )?;
    for line in [
        "key_size=4096",
        "max_sig_size=512",
        "verify=y",
        "sign=n",
        "encrypt=n",
    ] {
        ensure!(told.contains(line), "{told}");
    }
    keyctl(&["unlink", &serial, "@u"], &[])?;
    // In a session of its own, which ends with it.
    let padd = ["keyctl", "padd", "asymmetric", "", "@s"];
    let within = [&["session", "-"][..], &padd].concat();
    let said = keyctl(&within, &file("rsa4096.pgp")?)?;
    let serial = said.lines().find_map(|line| line.parse().ok());
    let serial = serial.with_context(|| format!("keyctl says {said}"))?;
    until("the session's key to go", || keys::shown(serial).is_err())
}

fn pkey_verify(_: &Context) -> Result<()> {
    let mut names = vec![("rsa2048", "enc=pkcs1"), ("rsa4096", "enc=pkcs1")];
    if has_ecdsa()? {
        names.push(("p256", "enc=x962"));
    }
    for (name, encoding) in names {
        let key = add(&file(&format!("{name}.pgp"))?).context(name)?;
        let serial = key.serial.to_string();
        let (digest, raw) = (
            path(&format!("{name}.digest")),
            path(&format!("{name}.raw")),
        );
        let ask = |digest: &str, raw: &str, how: &[&str]| {
            try_keyctl(
                &[&["pkey_verify", &serial, "0", digest, raw], how].concat(),
                &[],
            )
        };
        let (good, said) = ask(&digest, &raw, &[encoding, "hash=sha256"])?;
        ensure!(good, "{name}: {said}");
        let forged = "/tmp/forged";
        for at in [0, 31] {
            std::fs::write(forged, changed(&std::fs::read(&digest)?, at))?;
            let (good, said) = ask(forged, &raw, &[encoding, "hash=sha256"])?;
            ensure!(!good && said.contains("rejected"), "{name}: {said}");
        }
        let length = std::fs::read(&raw)?.len();
        for at in [0, length / 2, length - 1] {
            std::fs::write(forged, changed(&std::fs::read(&raw)?, at))?;
            let (good, said) = ask(&digest, forged, &[encoding, "hash=sha256"])?;
            ensure!(!good && said.contains("rejected"), "{name}: {said}");
        }
        // A hash of another length, a digest of another length, no digest, no signature, no padding, no hash.
        std::fs::write(forged, [])?;
        for (digest, raw, how) in [
            (&*digest, &*raw, &[encoding, "hash=sha512"][..]),
            (forged, &raw, &[encoding, "hash=sha256"]),
            (&digest, forged, &[encoding, "hash=sha256"]),
            (&digest, &raw, &["enc=raw"]),
            (&digest, &raw, &["hash=sha256"]),
            (&digest, &raw, &[encoding]),
            (&digest, &raw, &[encoding, "hash=md5"]),
        ] {
            let (good, said) = ask(digest, raw, how)?;
            ensure!(!good, "{name}, {digest}, {raw}, {how:?}: {said}");
        }
    }
    Ok(())
}

fn ecdsa(_: &Context) -> Result<()> {
    for name in ["p256", "p384"] {
        let key = add(&file(&format!("{name}.pgp"))?);
        if has_ecdsa()? {
            let key = key.context(name)?;
            let (signature, data) = (file(&format!("{name}.sig"))?, file("data")?);
            let shown = keys::shown(key.serial)?;
            ensure!(
                shown.contains(&format!(": PGP.ecdsa-nist-{name} ")),
                "{shown}"
            );
            Request::detached(key.serial, &signature, &data).good()?;
            Request::detached(key.serial, &signature, &changed(&data, 0))
                .refused(Errno::KEYREJECTED)?;
            let last = changed(&signature, signature.len() - 1);
            Request::detached(key.serial, &last, &data).refused(Errno::KEYREJECTED)?;
        } else {
            ensure!(matches!(key, Err(NOPKG)), "{name}: {key:?}");
        }
    }
    Ok(())
}

fn rsa(_: &Context) -> Result<()> {
    let data = file("data")?;
    for name in ["rsa1024", "rsa2048", "rsa3072", "rsa4096"] {
        let key = add(&file(&format!("{name}.pgp"))?).context(name)?;
        let signature = file(&format!("{name}.sig"))?;
        let answer = Request::detached(key.serial, &signature, &data).good()?;
        ensure!(answer.fingerprint == fingerprints(name)?[0], "{answer:?}");
    }
    // Its first byte is zero.
    let key = add(&file("rsa1024.pgp")?)?;
    Request::detached(key.serial, &file("short.sig")?, &file("short")?)
        .good()
        .map(drop)
}

fn shown_names(_: &Context) -> Result<()> {
    let key = add(&file("shown.pgp")?)?;
    let shown = keys::shown(key.serial)?;
    let tail = tail(&fingerprints("shown")?[0]);
    let expected = format!("J\u{f6}rg ?31m ?x? <shown@example.org>: {tail}: PGP.rsa");
    ensure!(shown.contains(&expected), "{shown:?}");
    Ok(())
}

fn unsupported(_: &Context) -> Result<()> {
    for name in ["ed25519", "rsa2560", "dsa2048", "p521"] {
        let log = kernel::Log::from_now()?;
        let requests = DRIVER.number("requests")?;
        let key = add(&file(&format!("{name}.pgp"))?);
        ensure!(matches!(key, Err(NOPKG)), "{name}: {key:?}");
        let asked = DRIVER.number("requests")? - requests;
        ensure!(asked == 0, "{name}: the handler was asked");
        let line = format!(
            "umd_pgp: key {} not added: keys of this algorithm or size are not supported",
            tail(&fingerprints(name)?[0])
        );
        ensure!(log.has(&line), "{name}: the log does not say {line:?}");
    }
    // Exponents are odd, and not long.
    let requests = DRIVER.number("requests")?;
    for (exponent, bits) in [(&[1, 0, 0][..], 17), (&[1], 1), (&[1, 0, 0, 0, 1], 33)] {
        let key = with_exponent(&file("rsa2048.pgp")?, exponent, bits)?;
        let key = add(&key);
        ensure!(matches!(key, Err(NOPKG)), "{exponent:?}: {key:?}");
    }
    let asked = DRIVER.number("requests")? - requests;
    ensure!(asked == 0, "the handler was asked");
    Ok(())
}

/// The key with another exponent than 65537.
fn with_exponent(key: &[u8], exponent: &[u8], bits: u8) -> Result<Vec<u8>> {
    const USUAL: &[u8] = &[0, 17, 1, 0, 1];
    let mut places = key.windows(USUAL.len());
    let place = places.position(|bytes| bytes == USUAL);
    let (before, rest) = key.split_at(place.context("no exponent")?);
    let number = [&[0, bits], exponent].concat();
    let mut changed = [before, &number, &rest[USUAL.len()..]].concat();
    // The primary key's packet, which ends with the exponent, has two bytes of length.
    let length = u16::try_from(before.len() + number.len() - 3)?;
    changed[1..3].copy_from_slice(&length.to_be_bytes());
    Ok(changed)
}

fn not_ours(_: &Context) -> Result<()> {
    let requests = DRIVER.number("requests")?;
    let certificate = file("x509-2048.der")?;
    let key = add(&certificate).context("a certificate")?;
    let shown = keys::shown(key.serial)?;
    ensure!(shown.contains("X509.rsa"), "{shown}");
    let with_tag = |tag: u8| [&[0x80 | tag << 2, 3, 4, 5, 6][..], &certificate].concat();
    for (what, bytes) in [
        ("armor", file("rsa2048.asc")?),
        ("text", b"no key".to_vec()),
        ("a signature", file("rsa2048.sig")?),
        ("a secret key", with_tag(5)),
        ("a subkey", with_tag(14)),
        ("a byte", vec![0x99]),
        ("zeros", vec![0; 60_000]),
        (
            "a length of 4 GiB",
            [&[0x9a, 0xff, 0xff, 0xff, 0xff][..], &certificate].concat(),
        ),
        (
            "a length that never ends",
            [&[0x9b][..], &certificate].concat(),
        ),
        ("pieces", [&[0xc6, 0xe9][..], &certificate].concat()),
    ] {
        let key = add(&bytes);
        ensure!(matches!(key, Err(Errno::BADMSG)), "{what}: {key:?}");
    }
    // The kernel's own parser says so, and ours is not asked.
    let long = [file("rsa2048.pgp")?, vec![0; 65_536]].concat();
    let key = add(&long);
    ensure!(matches!(key, Err(Errno::MSGSIZE)), "what is long: {key:?}");
    let asked = DRIVER.number("requests")? - requests;
    ensure!(asked == 0, "the handler was asked {asked} times");
    Ok(())
}

fn subkey(_: &Context) -> Result<()> {
    let key = add(&file("subkey.pgp")?)?;
    let fingerprints = fingerprints("subkey")?;
    let answer = Request::detached(key.serial, &file("subkey.sig")?, &file("data")?).good()?;
    ensure!(
        answer.fingerprint == fingerprints[1] && answer.primary == fingerprints[0],
        "{answer:?}"
    );
    // Made by a clock that stands still: 2025 begins.
    ensure!(answer.made == 1_735_689_600, "made at {}", answer.made);
    // It is found by its own name, too.
    let id = format!("ex:{}", hex(&fingerprints[1]));
    let found = keyctl(&["search", "@u", "asymmetric", &id], &[])?;
    ensure!(found == key.serial.to_string(), "found {found}");
    let told = keyctl(&["pkey_query", &found, "0"], &[])?;
    ensure!(
        told.contains("key_size=2048") && told.contains("max_sig_size=384"),
        "{told}"
    );
    Ok(())
}

fn left_out(_: &Context) -> Result<()> {
    let log = kernel::Log::from_now()?;
    // It has two of that kind, one of which has expired: nobody has asked whether that one agrees.
    let key = add(&file("mixed.pgp")?)?;
    log.expect("a subkey is left out: keys of this algorithm or size are not supported")?;
    let data = file("data")?;
    Request::detached(key.serial, &file("mixed.0.sig")?, &data).good()?;
    for signature in ["mixed.1.sig", "mixed.2.sig"] {
        Request::detached(key.serial, &file(signature)?, &data).refused(Errno::NOKEY)?;
    }
    Ok(())
}

fn detached(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let other = add(&file("rsa3072.pgp")?)?;
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let ask = |signature: &[u8], data: &[u8]| Request::detached(key.serial, signature, data).ask();
    Request::detached(key.serial, &signature, &data).good()?;
    Request::detached(other.serial, &signature, &data).refused(Errno::NOKEY)?;
    for at in 0..data.len() {
        let answer = ask(&signature, &changed(&data, at))?;
        ensure!(answer.error == 129, "data changed at {at}: {answer:?}");
    }
    ensure!(ask(&signature, &[])?.error == 129, "without its data");
    for end in 1..signature.len() {
        let answer = ask(&signature[..end], &data)?;
        ensure!(answer.error != 0, "cut at {end}: {answer:?}");
    }
    // What is not hashed may be changed without harm: the issuer's key id, the first bytes of the digest.
    let mut good = 0;
    for at in 0..signature.len() {
        let answer = ask(&changed(&signature, at), &data)?;
        if answer.error == 0 {
            good += 1;
            ensure!(
                answer.fingerprint == fingerprints("rsa2048")?[0],
                "{answer:?}"
            );
        }
    }
    println!(
        "# a signature with one bit changed is good in {good} of {} places",
        signature.len()
    );
    ensure!(good < 16, "{good} places make no difference");
    // Of two the second is good.
    let both = [file("rsa3072.sig")?, signature.clone()].concat();
    Request::detached(key.serial, &both, &data).good()?;
    // Of SHA-1 collisions are known.
    let weak = file("rsa2048.sha1.sig")?;
    let answer = Request::detached(key.serial, &weak, &data).refused(Errno::KEYREJECTED)?;
    ensure!(answer.reason.contains("too weak"), "{answer:?}");
    let much = vec![b'x'; 1 << 20];
    Request::detached(key.serial, &signature, &much).refused(Errno::KEYREJECTED)?;
    let key_there = file("rsa2048.pgp")?;
    let answer = ask(&key_there, &data)?;
    ensure!(answer.error != 0, "{answer:?}");
    Ok(())
}

/// Eight are tried. What comes behind them may be good, and nobody says that it is not.
fn many_signatures(_: &Context) -> Result<()> {
    const MAX: usize = 8;
    let key = add(&file("rsa2048.pgp")?)?;
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let wrong = changed(&signature, signature.len() - 1);
    let ask = |wrongs: usize, then: &[u8]| {
        let signatures = [&wrong.repeat(wrongs), then].concat();
        Request::detached(key.serial, &signatures, &data).ask()
    };
    ensure!(ask(MAX - 1, &signature)?.error == 0, "the eighth");
    let rejected = Errno::KEYREJECTED.raw_os_error().cast_unsigned();
    ensure!(ask(MAX, &[])?.error == rejected, "eight wrong ones");
    let answer = ask(MAX, &signature)?;
    let too_many = Errno::TOOBIG.raw_os_error().cast_unsigned();
    ensure!(
        answer.error == too_many && answer.reason.contains("too many signatures"),
        "{answer:?}"
    );
    // Those of others are not tried, and are no reason.
    let others = [file("rsa3072.sig")?.repeat(MAX), file("rsa2048.sha1.sig")?].concat();
    let signatures = [&others[..], &signature].concat();
    Request::detached(key.serial, &signatures, &data).good()?;
    let stranger = add(&file("rsa1024.pgp")?)?;
    Request::detached(stranger.serial, &others, &data).refused(Errno::NOKEY)?;
    Ok(())
}

/// Who possesses a keyring possesses the keys in it, also where the keyring is not linked to the session, as in services.
fn other_session(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let ask = move || -> Result<()> {
        keys::new_session()?;
        Request::detached(keys::USER_KEYRING, &signature, &data).good()?;
        // By its own number nobody possesses it here, and others may not search it.
        Request::detached(key.serial, &signature, &data)
            .refused(Errno::ACCESS)
            .map(drop)
    };
    let asker = std::thread::spawn(ask);
    asker.join().unwrap_or_else(|_| anyhow::bail!("it died"))
}

/// The certificate says that the key has signed it. The key is not even asked: who signs data signs no certificates.
fn no_authority(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let keyring = keys::keyring(c"restricted")?;
    keys::restrict(&keyring, &key)?;
    let certificate = file("x509-by-key.der")?;
    add(&certificate).context("where anything is taken")?;
    let added = keys::add_within(&keyring, &certificate);
    ensure!(matches!(added, Err(NOPKG)), "{added:?}");
    Ok(())
}

fn text(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let (signature, data) = (file("rsa2048.text.sig")?, file("data")?);
    let answer = Request::detached(key.serial, &signature, &data).good()?;
    ensure!(answer.flags == TEXT, "{answer:?}");
    let answer = Request::detached(key.serial, &file("rsa2048.sig")?, &data).good()?;
    ensure!(answer.flags == 0, "{answer:?}");
    let text = String::from_utf8(data)?.replace("\r\n", "\n");
    Request::detached(key.serial, &signature, text.as_bytes()).good()?;
    let text = text.replace('\n', "\r\n");
    Request::detached(key.serial, &signature, text.as_bytes()).good()?;
    let text = text.replace("\r\n", " ");
    Request::detached(key.serial, &signature, text.as_bytes()).refused(Errno::KEYREJECTED)?;
    // One over bytes is not over other ends of lines.
    let binary = file("rsa2048.sig")?;
    let text = String::from_utf8(file("data")?)?.replace("\r\n", "\n");
    Request::detached(key.serial, &binary, text.as_bytes()).refused(Errno::KEYREJECTED)?;
    Ok(())
}

/// A file in memory.
pub(super) fn memory(content: &[u8]) -> Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("data", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    Ok(file)
}

fn in_a_file(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let signature = file("rsa2048.sig")?;
    let request = Request::detached(key.serial, &signature, &[]);
    // Wherever its reader is.
    let data = memory(&file("data")?)?;
    request.clone().of_file(&data).good()?;
    rustix::fs::seek(&data, SeekFrom::Start(0))?;
    request.clone().of_file(&data).good()?;
    let large = memory(&vec![b'x'; 3 << 20])?;
    request
        .clone()
        .of_file(&large)
        .refused(Errno::KEYREJECTED)?;
    let (reader, _writer) = rustix::pipe::pipe()?;
    let directory = File::open("/")?;
    for (file, error) in [
        (File::from(reader), Errno::INVAL),
        (directory, Errno::INVAL),
        (
            File::options().write(true).open("/proc/self/comm")?,
            Errno::BADF,
        ),
    ] {
        request.clone().of_file(&file).refused(error)?;
    }
    let mut nobodys = request.clone().of_file(&data);
    nobodys.fd = 999;
    nobodys.refused(Errno::BADF)?;
    // Its own file cannot be read by the kernel: it says so, and is none the worse.
    let own = pgp::open()?;
    let answer = request.of_file(&own).ask()?;
    ensure!(answer.error != 0, "{answer:?}");
    Ok(())
}

fn inline(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let (message, data) = (file("rsa2048.message")?, file("data")?);
    let answer = Request::inline(key.serial, &message).good()?;
    let (at, length) = answer.data;
    ensure!(message[at..][..length] == data, "the data are elsewhere");
    Request::inline(key.serial, &changed(&message, at)).refused(Errno::KEYREJECTED)?;
    let answer = Request::inline(key.serial, &[])
        .of_file(&memory(&message)?)
        .good()?;
    ensure!(answer.data == (at, length), "{answer:?}");
    for end in 0..message.len() {
        let answer = Request::inline(key.serial, &message[..end]).ask()?;
        ensure!(answer.error != 0, "cut at {end}: {answer:?}");
    }
    Request::inline(key.serial, &file("rsa2048.zip")?).refused(NOPKG)?;
    Ok(())
}

fn states(_: &Context) -> Result<()> {
    let data = file("data")?;
    for (name, error, word) in [
        ("expired", Errno::KEYEXPIRED, "expired"),
        ("revoked", Errno::KEYREVOKED, "revoked"),
        ("usage", Errno::KEYREJECTED, "rejected"),
    ] {
        let key = add(&file(&format!("{name}.pgp"))?).context(name)?;
        let signature = file(&format!("{name}.sig"))?;
        let answer = Request::detached(key.serial, &signature, &data).refused(error)?;
        ensure!(answer.reason.starts_with("the key "), "{name}: {answer:?}");
        let (digest, raw) = (
            path(&format!("{name}.digest")),
            path(&format!("{name}.raw")),
        );
        let serial = key.serial.to_string();
        let how = ["enc=pkcs1", "hash=sha256"];
        let ask = [&["pkey_verify", &*serial, "0", &digest, &raw], &how[..]].concat();
        let (good, said) = try_keyctl(&ask, &[])?;
        ensure!(!good && said.contains(word), "{name}: {said}");
    }
    Ok(())
}

fn keyring(_: &Context) -> Result<()> {
    let keyring = keys::keyring(c"some")?;
    let (signature, data) = (file("rsa3072.sig")?, file("data")?);
    let request = Request::detached(keyring.serial, &signature, &data);
    request.refused(Errno::NOKEY)?;
    for name in ["rsa1024", "rsa2048"] {
        let key = keys::add_within(&keyring, &file(&format!("{name}.pgp"))?)?;
        // It is to stay there.
        std::mem::forget(key);
    }
    let certificate = keys::add_within(&keyring, &file("x509-2048.der")?)?;
    request.refused(Errno::NOKEY)?;
    Request::detached(certificate.serial, &signature, &data).refused(Errno::NOKEY)?;
    let key = keys::add_within(&keyring, &file("rsa3072.pgp")?)?;
    request.good()?;
    // The keyring in which that one is has no keys of its own.
    Request::detached(keys::USER_KEYRING, &signature, &data).refused(Errno::NOKEY)?;
    drop(key);
    request.refused(Errno::NOKEY)?;
    for serial in [0, -1000, i32::MAX, i32::MIN] {
        let answer = Request::detached(serial, &signature, &data).ask()?;
        ensure!(answer.error != 0, "{serial}: {answer:?}");
    }
    Ok(())
}

fn revoked_unread(_: &Context) -> Result<()> {
    let log = kernel::Log::from_now()?;
    let key = add(&file("ripemd.pgp")?);
    ensure!(matches!(key, Err(NOPKG)), "{key:?}");
    log.expect("not added: hashes of this algorithm are not supported")
}

/// A signature that names nobody is tried on all keys, if there are not too many.
fn many_keys(_: &Context) -> Result<()> {
    const MAX: usize = 64;
    let keyring = keys::keyring(c"many")?;
    let (key, data) = (file("rsa1024.pgp")?, file("data")?);
    let mut nameless = file("rsa1024.sig")?;
    let mut of_no_kind = |kind: u8, length: u8| -> Result<()> {
        let mut pairs = nameless.windows(2);
        let place = pairs.position(|bytes| bytes == [length, kind]);
        nameless[place.context("no issuer")? + 1] = 100;
        Ok(())
    };
    of_no_kind(33, 22)?;
    of_no_kind(16, 9)?;
    let request = Request::detached(keyring.serial, &nameless, &data);
    let mut added = Vec::new();
    for number in 0..MAX {
        let name = CString::new(format!("key {number}"))?;
        added.push(keys::add_named(&keyring, &name, &key)?);
    }
    request.refused(Errno::KEYREJECTED)?;
    added.push(keys::add_within(&keyring, &file("rsa2048.pgp")?)?);
    let answer = request.refused(Errno::TOOBIG)?;
    ensure!(answer.reason.contains("too many keys"), "{answer:?}");
    // It is no reason not to look at the next one.
    let both = [&nameless[..], &file("rsa1024.sig")?].concat();
    Request::detached(keyring.serial, &both, &data).good()?;
    // One that says whose it is is tried on those alone.
    Request::detached(keyring.serial, &file("rsa1024.sig")?, &data).good()?;
    Ok(())
}

fn packages(_: &Context) -> Result<()> {
    let key = add(&file("rsa4096.pgp")?)?;
    let package = file("rsa4096.rpm")?;
    let ask = |content: &[u8]| -> Result<_> { Request::rpm(key.serial, &memory(content)?).ask() };
    let answer = Request::rpm(key.serial, &File::open(path("rsa4096.rpm"))?).good()?;
    ensure!(answer.flags & HEADER_ONLY == 0, "{answer:?}");
    ensure!(
        answer.fingerprint == fingerprints("rsa4096")?[0],
        "{answer:?}"
    );
    let payload = payload_of(&package)?;
    for at in [payload, (payload + package.len()) / 2, package.len() - 1] {
        let answer = ask(&changed(&package, at))?;
        ensure!(
            answer.error == 129 && answer.reason.contains("payload"),
            "payload changed at {at}: {answer:?}"
        );
    }
    let header = header_of(&package)?;
    for at in (header + 16..payload).step_by(41) {
        let answer = ask(&changed(&package, at))?;
        ensure!(answer.error != 0, "header changed at {at}: {answer:?}");
    }
    for end in (0..package.len()).step_by(97).chain([package.len() - 1]) {
        let answer = ask(&package[..end])?;
        ensure!(answer.error != 0, "cut at {end}: {answer:?}");
    }
    ensure!(
        ask(&[&package[..], &[0]].concat())?.error == 129,
        "a byte more"
    );
    // Without the payload.
    let file_of_header = memory(&package[..payload])?;
    let mut request = Request::rpm(key.serial, &file_of_header);
    request.refused(Errno::KEYREJECTED)?;
    request.flags |= HEADER_ONLY;
    let answer = request.good()?;
    ensure!(
        answer.flags & HEADER_ONLY != 0 && answer.reason == "header only",
        "{answer:?}"
    );
    // Its header does not say what the payload must be.
    let old = File::open(path("old.rpm"))?;
    let mut request = Request::rpm(key.serial, &old);
    let answer = request.refused(NOPKG)?;
    ensure!(
        answer.reason.contains("no digest of its payload"),
        "{answer:?}"
    );
    request.flags |= HEADER_ONLY;
    request.good()?;
    // Over text: of other bytes as well.
    let text = File::open(path("text.rpm"))?;
    let mut text = Request::rpm(key.serial, &text);
    text.flags |= HEADER_ONLY;
    let answer = text.refused(Errno::BADMSG)?;
    ensure!(answer.reason.contains("not of a type"), "{answer:?}");
    let unsigned = File::open(path("unsigned.rpm"))?;
    let answer = Request::rpm(key.serial, &unsigned).refused(Errno::KEYREJECTED)?;
    ensure!(answer.reason.contains("not signed"), "{answer:?}");
    // By a key of a kind that the kernel does not take.
    Request::rpm(key.serial, &File::open(path("ed25519.rpm"))?).refused(Errno::NOKEY)?;
    Ok(())
}

/// Files that no program of today writes.
macro_rules! made_file {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/umd-pgp/tests/data/", $name))
    };
}

/// An RSA key, and the same with its revocation behind all else.
const GOOD: &[u8] = made_file!("v3-good.key");
const REVOKED: &[u8] = made_file!("revoked-behind.key");
/// Its signature over `DATA_OF_GOOD`.
const BY_GOOD: &[u8] = made_file!("cases/sig");
const DATA_OF_GOOD: &[u8] = made_file!("cases/data");
/// Packages that it has signed: by a signature of version 3, and by one whose number has too high a
/// count of bits.
const VERSION_3: &[u8] = made_file!("cases/p07-v3sig.rpm");
const ODD_NUMBER: &[u8] = made_file!("cases/p09-mpi-lead-zero-bits.rpm");

fn version_3(_: &Context) -> Result<()> {
    let key = add(GOOD)?;
    for package in [VERSION_3, ODD_NUMBER] {
        let answer = Request::rpm(key.serial, &memory(package)?).good()?;
        ensure!(answer.flags & HEADER_ONLY == 0, "{answer:?}");
        let payload = payload_of(package)?;
        let changed = changed(package, payload);
        Request::rpm(key.serial, &memory(&changed)?).refused(Errno::KEYREJECTED)?;
        // In the first entry of the header that is signed.
        let changed = self::changed(package, header_of(package)? + 20);
        let answer = Request::rpm(key.serial, &memory(&changed)?).ask()?;
        ensure!(answer.error != 0, "{answer:?}");
    }
    Ok(())
}

fn around_a_key(_: &Context) -> Result<()> {
    const MARKER: &[u8] = b"\xca\x03PGP";
    let marked = add(&[MARKER, MARKER, GOOD].concat())?;
    Request::detached(marked.serial, BY_GOOD, DATA_OF_GOOD).good()?;
    drop(marked);
    let revoked = add(REVOKED)?;
    Request::detached(revoked.serial, BY_GOOD, DATA_OF_GOOD).refused(Errno::KEYREVOKED)?;
    ensure!(
        add(MARKER).err() == Some(Errno::BADMSG),
        "a marker without a key"
    );
    Ok(())
}

fn revoked_copy(_: &Context) -> Result<()> {
    let keyring = keys::keyring(c"copies")?;
    let _good = keys::add_named(&keyring, c"one", GOOD)?;
    Request::detached(keyring.serial, BY_GOOD, DATA_OF_GOOD).good()?;
    let _revoked = keys::add_named(&keyring, c"two", REVOKED)?;
    Request::detached(keyring.serial, BY_GOOD, DATA_OF_GOOD).refused(Errno::KEYREVOKED)?;
    Ok(())
}

/// Where a package's second header begins.
pub(super) fn header_of(package: &[u8]) -> Result<usize> {
    Ok(end_of(package, 96)?.next_multiple_of(8))
}

pub(super) fn payload_of(package: &[u8]) -> Result<usize> {
    end_of(package, header_of(package)?)
}

fn end_of(package: &[u8], at: usize) -> Result<usize> {
    let word = |at: usize| -> Result<usize> {
        let bytes = package.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u32::from_be_bytes(*bytes.context("a package that is cut")?) as usize)
    };
    Ok(at + 16 + 16 * word(at + 8)? + word(at + 12)?)
}

fn no_requests(_: &Context) -> Result<()> {
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let good = Request::detached(1, &signature, &data).encode()?;
    let requests = DRIVER.number("requests")?;
    let word = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[4 * at..][..4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let mut refused = vec![
        Vec::new(),
        good[..31].to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        word(7, 1),
        vec![0xff; 4096],
        vec![0; 32 + (64 << 10) + (1 << 20) + 1],
    ];
    for version in [0, 2, u32::MAX] {
        refused.push(word(0, version));
    }
    for kind in [0, 4, u32::MAX] {
        refused.push(word(1, kind));
    }
    for flags in [1, 2, 4, 0x10, u32::MAX] {
        refused.push(word(2, flags));
    }
    refused.push(word(4, 3));
    for length in [0, 1, u32::MAX, u32::MAX - 31, 1 << 31] {
        refused.push(word(5, length));
        refused.push(word(6, length));
    }
    for (number, bytes) in refused.iter().enumerate() {
        let file = pgp::open()?;
        let written = rustix::io::write(&file, bytes);
        ensure!(written == Err(Errno::INVAL), "{number}: {written:?}");
    }
    let asked = DRIVER.number("requests")? - requests;
    ensure!(asked == 0, "the handler was asked {asked} times");
    Ok(())
}

fn one_transaction(_: &Context) -> Result<()> {
    let key = add(&file("rsa2048.pgp")?)?;
    let (signature, data) = (file("rsa2048.sig")?, file("data")?);
    let request = Request::detached(key.serial, &signature, &data).encode()?;
    let file = pgp::open()?;
    let before = rustix::io::read(&file, &mut [0; 16]);
    ensure!(before == Ok(0), "{before:?} before there is a result");
    // What is no request is no transaction.
    let none = rustix::io::write(&file, b"none");
    ensure!(none == Err(Errno::INVAL), "{none:?}");
    rustix::io::write(&file, &request)?;
    let again = rustix::io::write(&file, &request);
    ensure!(again == Err(Errno::ALREADY), "{again:?}");
    let answer = pgp::Answer::read(&file)?;
    ensure!(answer.error == 0, "{answer:?}");
    let after = rustix::io::read(&file, &mut [0; 16]);
    ensure!(after == Ok(0), "{after:?} behind the result");
    Ok(())
}

fn in_use(_: &Context) -> Result<()> {
    let busy = |why: &str| -> Result<()> {
        let removed = modules::remove(MODULE);
        // What the kernel says of a module in use, where it need not wait.
        ensure!(removed == Err(Errno::AGAIN), "{why}: {removed:?}");
        Ok(())
    };
    let first = add(&file("rsa2048.pgp")?)?;
    let second = add(&file("rsa3072.pgp")?)?;
    ensure!(
        modules::users(MODULE)? == 2,
        "{} users",
        modules::users(MODULE)?
    );
    busy("two keys")?;
    drop(first);
    until("a key is gone", || {
        modules::users(MODULE).is_ok_and(|users| users == 1)
    })?;
    busy("one key")?;
    drop(second);
    until("the other is gone", || {
        modules::users(MODULE).is_ok_and(|users| users == 0)
    })?;
    let open = pgp::open()?;
    busy("an open file")?;
    drop(open);
    // A key that is refused holds nothing.
    ensure!(add(&file("ed25519.pgp")?).is_err(), "an Ed25519 key");
    modules::unload(MODULE)?;
    let key = add(&file("rsa2048.pgp")?);
    ensure!(
        matches!(key, Err(Errno::BADMSG)),
        "without the module: {key:?}"
    );
    modules::load(MODULE)?;
    add(&file("rsa2048.pgp")?)?;
    Ok(())
}

fn killed(_: &Context) -> Result<()> {
    for _ in 0..5 {
        DRIVER.kill_handler()?;
        add(&file("rsa2048.pgp")?)?;
    }
    Ok(())
}

/// Instructions of the guest, each a nanosecond.
fn cost(_: &Context) -> Result<()> {
    const ROUNDS: u32 = 10;
    let average = |what: &dyn Fn() -> Result<()>| -> Result<u128> {
        what()?;
        let (done, took) = timed(|| (0..ROUNDS).try_for_each(|_| what()));
        done?;
        Ok(took.as_nanos() / u128::from(ROUNDS))
    };
    let added = |name: &str| -> Result<u128> {
        let bytes = file(name)?;
        average(&|| Ok(add(&bytes).map(drop)?))
    };
    for bits in [2048, 4096] {
        let pgp = added(&format!("rsa{bits}.pgp"))?;
        let x509 = added(&format!("x509-{bits}.der"))?;
        println!(
            "# adding a key of RSA-{bits}: {pgp} instructions, a certificate: {x509}, {}.{:02} times",
            pgp / x509,
            pgp * 100 / x509 % 100
        );
        let key = add(&file(&format!("rsa{bits}.pgp"))?)?;
        let (signature, data) = (file(&format!("rsa{bits}.sig"))?, file("data")?);
        let request = Request::detached(key.serial, &signature, &data);
        let verified = average(&|| request.good().map(drop))?;
        let request = Request::detached(key.serial, b"no packet", &data);
        let asked = average(&|| request.ask().map(drop))?;
        println!(
            "# of that: asking the handler and nothing else: {asked}; a verification: {}",
            verified.saturating_sub(asked)
        );
    }
    Ok(())
}
