//! TLS to a collector: whose certificates are believed, and what this host shows of itself.
//!
//! Every fault of a file names the key, the file and the reason. What a collector's own certificate lacks is the request's
//! error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::StartError;
use super::wire::{ClientFiles, Tls};
use crate::post::secret;

/// Longest file of certificates: many times what a system's bundle has.
const LONGEST: u64 = 4 << 20;

/// Puts the files to use; the system's authorities are believed where none are named.
pub(super) fn apply(builder: ClientBuilder, tls: &Tls) -> Result<ClientBuilder, StartError> {
    let builder = match &tls.ca_file {
        None => builder,
        Some(file) => {
            builder.tls_certs_only(authorities(file).map_err(|why| StartError::file("tls.ca_file", file, why))?)
        }
    };
    match &tls.client {
        None => Ok(builder),
        Some(files) => Ok(builder.identity(identity(files)?)),
    }
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for der in certificates_of(&read(file)?)? {
        let number = certificates.len() + 1;
        store.add(der.clone()).map_err(|error| format!("certificate {number} is no authority: {error}"))?;
        certificates.push(Certificate::from_der(&der).map_err(|error| error.to_string())?);
    }
    Ok(certificates)
}

fn identity(files: &ClientFiles) -> Result<Identity, StartError> {
    let ClientFiles { cert_file, key_file } = files;
    let wrong_cert = |why| StartError::file("tls.cert_file", cert_file, why);
    let wrong_key = |why| StartError::file("tls.key_file", key_file, why);
    let mut pem = read(cert_file).map_err(wrong_cert)?;
    let chain = certificates_of(&pem).map_err(wrong_cert)?;
    let key_pem = secret::read(key_file).map_err(wrong_key)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| wrong_key("no private key in it (PEM, PKCS #8, PKCS #1 or SEC 1, not encrypted)".to_owned()))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => wrong_key(format!("it is not the key of {}", cert_file.display())),
        other => wrong_key(format!("it does not serve with {}: {other}", cert_file.display())),
    })?;
    pem.push(b'\n');
    pem.extend_from_slice(key_pem.as_bytes());
    Identity::from_pem(&pem).map_err(|error| wrong_cert(crate::post::chain(&error)))
}

fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it (PEM, BEGIN CERTIFICATE)".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("it is damaged: {error}")),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(LONGEST + 1).read_to_end(&mut bytes));
    opened.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it has more than {LONGEST} bytes"));
    }
    Ok(bytes)
}
