"""JupyterHub for a class: each student a server of their own, nbgrader's exchange through ngshare.

docs/instructors.md says how to install JupyterHub and ngshare beside the course. Replace what is in CAPITALS.
"""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (put there by JupyterHub)

c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # behind a reverse proxy that does TLS
c.Authenticator.admin_users = {"INSTRUCTOR"}
c.Authenticator.allow_all = True
c.Spawner.default_url = "/lab"
c.Spawner.cmd = ["/COURSE/.venv/bin/jupyterhub-singleuser"]
c.Spawner.environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
c.Spawner.mem_limit = "6G"
c.Spawner.cpu_limit = 2

# ngshare listens on all interfaces: let the firewall keep its port to this machine
c.JupyterHub.services = [
    {
        "name": "ngshare",
        "url": "http://127.0.0.1:10101",
        "command": [
            *("python3", "-m", "ngshare", "--admins", "INSTRUCTOR"),
            *("--database", "sqlite:////SHARED/ngshare.db", "--storage", "/SHARED/ngshare-files/"),
        ],
        "oauth_no_confirm": True,
    }
]
c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", "access:services!service=ngshare"]}]
