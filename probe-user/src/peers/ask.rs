//! Whether a host is there though its daemon is silent: an ICMP echo, and a TCP connection to the daemon's own port. A system
//! whose daemon is gone refuses that connection, which only a living one does.
//!
//! Both are tried at once; the first answer is enough. A connection that is accepted counts as well: the daemon's socket
//! is there, and the host with it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::icmp::Echoes;

/// Whether the host answers in any way; a port of 0 is none.
pub(super) async fn ask(echoes: Echoes, host: IpAddr, ports: [u16; 2], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut token = [0; 16];
    // Without randomness an echo could be taken for another one's; the connection is asked all the same.
    let random = SystemRandom::new().fill(&mut token).is_ok();
    let echo = async {
        if random && echoes.answers(host, token, until).await {
            return;
        }
        std::future::pending::<()>().await;
    };
    let [daemon, other] = ports.map(|port| connection(SocketAddr::new(host, port), until));
    tokio::select! {
        () = echo => true,
        () = daemon => true,
        () = other => true,
        () = tokio::time::sleep_until(until) => false,
    }
}

/// Returns when the host has answered, else never.
async fn connection(to: SocketAddr, until: Instant) {
    if to.port() != 0
        && let Ok(tried) = timeout_at(until, TcpStream::connect(to)).await
        && is_answer(tried.map(drop))
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Whether only a living host makes a connection end so.
fn is_answer(tried: std::io::Result<()>) -> bool {
    match tried {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_without_a_daemon_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = |ports| ask(Echoes::default(), address.ip(), ports, Duration::from_secs(5));
        assert!(asked([address.port(), 0]).await, "it accepts");
        drop(listener);
        assert!(asked([address.port(), 0]).await, "it refuses");
        assert!(asked([0, address.port()]).await, "another port serves as well");
        let nobody = ask(Echoes::default(), address.ip(), [0, 0], Duration::from_millis(1)).await;
        assert!(!nobody, "nobody was asked");
    }

    #[test]
    fn a_network_that_is_not_there_is_no_answer() {
        for kind in [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable, ErrorKind::TimedOut] {
            assert!(!is_answer(Err(kind.into())), "{kind:?}");
        }
        assert!(is_answer(Err(ErrorKind::ConnectionRefused.into())));
    }
}
