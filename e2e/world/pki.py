"""Certificates and kubeconfigs of the world's own cluster: a CA, one identity per component, fresh at each `up`."""

import base64
import json

from . import paths
from .steps import run

PKI = paths.PKI


def make_all():
    for folder in (PKI, paths.KUBECONFIGS):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    run("openssl", "req", "-x509", *_new_key("ca"), "-days", "365", "-subj", "/CN=whorl-world", "-out", PKI / "ca.crt")
    run("openssl", "genrsa", "-out", PKI / "service-account.key", "2048")
    names = ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost", "IP:127.0.0.1",
             f"IP:{paths.WORLD_IP}", f"IP:{paths.SERVICE_IP}"]
    _pair("apiserver", "/CN=kube-apiserver", names)
    _pair("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
    for user, subject in {
        "admin": "/O=system:masters/CN=admin",
        "controller-manager": "/CN=system:kube-controller-manager",
        "scheduler": "/CN=system:kube-scheduler",
        "kube-proxy": "/CN=system:kube-proxy",
        "node": f"/O=system:nodes/CN=system:node:{paths.NODE_NAME}",
        "standin": "/CN=kubevirt-stand-in",
    }.items():
        make_user(user, subject)


def make_user(user, subject):
    _pair(user, subject)
    write_kubeconfig(user)


def _new_key(name):
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", PKI / f"{name}.key")


def _pair(name, subject, alternatives=()):
    request = PKI / f"{name}.csr"
    run("openssl", "req", *_new_key(name), "-subj", subject, "-out", request)
    extensions = PKI / f"{name}.ext"
    extensions.write_text(f"subjectAltName={','.join(alternatives) or 'DNS:' + name}\n")
    run("openssl", "x509", "-req", "-in", request, "-CA", PKI / "ca.crt", "-CAkey", PKI / "ca.key", "-CAcreateserial", "-days", "365", "-extfile", extensions, "-out", PKI / f"{name}.crt")
    request.unlink()
    extensions.unlink()


def write_kubeconfig(user):
    def data(path):
        return base64.b64encode(path.read_bytes()).decode()

    target = paths.KUBECONFIGS / user
    target.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "whorl-world",
        "clusters": [{"name": "whorl-world", "cluster": {"server": paths.API_URL, "certificate-authority-data": data(PKI / "ca.crt")}}],
        "users": [{"name": user, "user": {"client-certificate-data": data(PKI / f"{user}.crt"), "client-key-data": data(PKI / f"{user}.key")}}],
        "contexts": [{"name": "whorl-world", "context": {"cluster": "whorl-world", "user": user}}],
    }, indent=1))
    target.chmod(0o600)
