//! A TCP balancer by `/readyz`, like a Service of Kubernetes: new connections go to ready instances in turn; open
//! connections stay. It repeats nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::serve::Serve;
use super::within;

/// A running balancer.
pub struct Balancer {
    pub address: SocketAddr,
    instances: Instances,
    tasks: [JoinHandle<()>; 2],
}

type Instances = Arc<Mutex<Vec<Instance>>>;

struct Instance {
    data: SocketAddr,
    admin: SocketAddr,
    ready: bool,
}

impl Balancer {
    /// Listens. Connections wait until an instance is ready.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let instances = Instances::default();
        let tasks = [
            tokio::spawn(look(Arc::clone(&instances))),
            tokio::spawn(accept(listener, Arc::clone(&instances))),
        ];
        Self { address, instances, tasks }
    }

    /// Adds an instance, and returns when the instance gets connections.
    pub async fn add(&self, serve: &Serve) {
        lock(&self.instances).push(Instance { data: serve.data, admin: serve.admin, ready: false });
        within("the instance to be ready", async {
            while !lock(&self.instances).iter().any(|instance| instance.data == serve.data && instance.ready)
            {
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Polls the readiness of every instance.
async fn look(instances: Instances) {
    loop {
        let admins: Vec<_> = lock(&instances).iter().map(|instance| instance.admin).collect();
        for admin in admins {
            let ready = is_ready(admin).await;
            lock(&instances).iter_mut().filter(|it| it.admin == admin).for_each(|it| it.ready = ready);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin).await else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_end(&mut answer).await.is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

async fn accept(listener: TcpListener, instances: Instances) {
    let mut turn = 0_usize;
    loop {
        let (mut caller, _) = listener.accept().await.unwrap();
        let data = loop {
            let ready: Vec<_> = lock(&instances).iter().filter(|it| it.ready).map(|it| it.data).collect();
            if let Some(data) = ready.get(turn % ready.len().max(1)) {
                break *data;
            }
            tokio::time::sleep(PAUSE).await;
        };
        turn = turn.wrapping_add(1);
        tokio::spawn(async move {
            let Ok(mut instance) = TcpStream::connect(data).await else { return };
            let _ = (caller.set_nodelay(true), instance.set_nodelay(true));
            // Either side may leave in any way.
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut instance).await;
        });
    }
}

fn lock(instances: &Instances) -> MutexGuard<'_, Vec<Instance>> {
    instances.lock().unwrap_or_else(PoisonError::into_inner)
}

const PAUSE: Duration = Duration::from_millis(20);
