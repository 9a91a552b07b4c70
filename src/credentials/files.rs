//! Opening the files that hold credentials.
//!
//! It looks at permissions and size; it does not know what a file holds.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use zeroize::Zeroizing;

use super::Error;

/// No credential is larger; a path of something else entirely should not fill the memory.
const LARGEST: u64 = 1 << 20;

/// The content of a file that only its owner and group may open.
pub(super) fn secret_bytes(file: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (bytes, mode) = read(file)?;
    match mode & 0o007 {
        0 => Ok(bytes),
        _ => Err(Error::OpenToOthers { file: file.to_owned(), mode }),
    }
}

/// The content of a file of certificates. It may be open to everybody, unless it holds a private key, too.
pub(super) fn certificate_bytes(file: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (bytes, mode) = read(file)?;
    let marker = b"PRIVATE KEY-----";
    if mode & 0o007 != 0 && bytes.windows(marker.len()).any(|window| window == marker) {
        return Err(Error::OpenToOthers { file: file.to_owned(), mode });
    }
    Ok(bytes)
}

fn read(file: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), Error> {
    let unreadable = |what: &str, hint| Error::Unreadable { file: file.to_owned(), what: what.to_owned(), hint };
    let look = "look at the path in the configuration";
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => unreadable("there is no such file", look),
        io::ErrorKind::PermissionDenied => {
            unreadable("this user may not read it", "give it to the group that the service runs as")
        }
        kind => unreadable(&kind.to_string(), look),
    };
    // Asked before opening, because opening a pipe would wait for a writer.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(unreadable("is not a file", look));
    }
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.len() > LARGEST {
        return Err(unreadable("is larger than 1 MiB", look));
    }
    // With its whole room from the start, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    opened.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, metadata.permissions().mode() & 0o7777))
}
