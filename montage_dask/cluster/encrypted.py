"""A KubeCluster of dask-kubernetes that speaks TLS with its scheduler."""

from __future__ import annotations

from typing import Any

from dask_kubernetes.operator.kubecluster.kubecluster import KubeCluster, wait_for_service
from dask_kubernetes.operator.networking import get_scheduler_address, wait_for_scheduler
from distributed import Security
from distributed.core import rpc

from montage_dask.cluster.cut_lines import be_patient


class EncryptedKubeCluster(KubeCluster):
    """KubeCluster takes no `security` and dials `tcp://`; this one dials `tls://` with the certificate of its cluster.

    It only connects: the DaskCluster is there already, and its Secret with it.

    Args:
        security: of the client.
        **options: of KubeCluster.
    """

    def __init__(self, *, security: Security, **options: Any) -> None:
        self.security = security
        be_patient()
        super().__init__(**options)

    async def _connect_cluster(self) -> None:
        # An object that is new has no status yet; one that stands is ready at once.
        await self._wait_for_controller()
        await wait_for_scheduler(self.name, self.namespace, timeout=self._resource_timeout)
        service = f"{self.name}-scheduler"
        await wait_for_service(service, self.namespace)
        address = (await self._get_scheduler_address()).replace("tcp://", "tls://", 1)
        self.scheduler_comm = rpc(
            address, connection_args=self.security.get_connection_args("client")
        )
        dashboard = await get_scheduler_address(
            service,
            self.namespace,
            port_name="http-dashboard",
            port_forward_cluster_ip=self.port_forward_cluster_ip,
        )
        self.forwarded_dashboard_port = dashboard.rpartition(":")[2]
