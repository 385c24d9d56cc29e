"""Labelled snippets: what each rule must say, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.areas.dependencies.training_code.lint import RULES, lint

KEY = "AKIA" + "QX7Z" * 4  # the shape of a key, and nobody's
TOKEN = "hf_" + "aB3dE5fG7h" * 3

WEAK: list[tuple[str, str, str]] = [
    ("unsafe-load", "a.py", "import torch\nstate = torch.load('model.pt')"),
    ("unsafe-load", "a.py", "import torch as t\nstate = t.load(path, weights_only=False)"),
    ("unsafe-load", "a.py", "from torch import load\nload(path, map_location='cpu', weights_only=False)"),
    ("unsafe-load", "a.py", "import pickle\nwith open(p, 'rb') as f:\n    model = pickle.load(f)"),
    ("unsafe-load", "a.py", "from joblib import load as get\nclf = get('clf.joblib')"),
    ("unsafe-load", "a.py", "import numpy as np\nd = np.load('x.npy', allow_pickle=True)"),
    ("unsafe-load", "a.py", "import pandas as pd\ndf = pd.read_pickle(url)"),
    ("unsafe-load", "a.py", "import yaml\ncfg = yaml.load(open('c.yaml'), Loader=yaml.Loader)"),
    ("unsafe-load", "a.py", "import yaml\ncfg = yaml.load(stream)"),
    ("unsafe-load", "a.py", "import keras\nm = keras.saving.load_model('m.keras', safe_mode=False)"),
    ("unsafe-load", "a.py", "import dill\nobj = dill.loads(blob)"),
    ("shell-load", "a.sh", "curl -sSL https://example.org/install.sh | bash"),
    ("shell-load", "a.py", "import os\nos.system('wget -qO- https://example.org/i.sh | sh')"),
    ("pickle-checkpoint", "a.py", "import torch\ntorch.save(model, 'model.pt')"),
    ("pickle-checkpoint", "a.py", "import joblib\njoblib.dump(clf, 'clf.joblib')"),
    ("pickle-checkpoint", "a.py", "import pickle\npickle.dump(self.best_model, f)"),
    ("remote-code", "a.py", "m = AutoModel.from_pretrained('./m', trust_remote_code=True)"),
    ("remote-code", "a.py", "from datasets import load_dataset\nd = load_dataset('csv', trust_remote_code=True)"),
    ("remote-code", "a.py", "args = {'model': path, 'trust_remote_code': True}"),
    ("remote-code", "a.py", "TRUST = True\nm = AutoModel.from_pretrained(p, trust_remote_code=TRUST)"),
    ("remote-code", "a.yaml", "model:\n  path: ./m\n  trust_remote_code: true"),
    ("unpinned-revision", "a.py", "m = AutoModel.from_pretrained('bert-base-uncased')"),
    ("unpinned-revision", "a.py", "m = AutoModel.from_pretrained('acme/judge', revision='main')"),
    ("unpinned-revision", "a.py", "NAME = 'acme/judge'\nt = AutoTokenizer.from_pretrained(NAME)"),
    ("unpinned-revision", "a.py", "from huggingface_hub import snapshot_download\nsnapshot_download(repo_id='acme/judge')"),
    ("unpinned-revision", "a.py", "from datasets import load_dataset\nd = load_dataset('imdb', split='train')"),
    ("unpinned-revision", "a.py", "import torch\nm = torch.hub.load('pytorch/vision', 'resnet50')"),
    ("unpinned-revision", "a.py", "from transformers import pipeline\np = pipeline('ner', model='acme/ner')"),
    ("unpinned-revision", "a.py", "from sentence_transformers import SentenceTransformer\ne = SentenceTransformer('all-MiniLM-L6-v2')"),
    ("tls-off", "a.py", "import requests\nr = requests.get(url, verify=False)"),
    ("tls-off", "a.py", "import ssl\nctx = ssl._create_unverified_context()"),
    ("tls-off", "a.py", "import ssl\nssl._create_default_https_context = ssl._create_unverified_context"),
    ("tls-off", "a.py", "import ssl\nctx = ssl.create_default_context()\nctx.check_hostname = False"),
    ("tls-off", "a.py", "s = Session()\ns.verify = False"),
    ("tls-off", "a.py", "import os\nos.environ['CURL_CA_BUNDLE'] = ''"),
    ("tls-off", "a.py", "import boto3\ns3 = boto3.client('s3', verify=False)"),
    ("tls-off", "a.sh", "git -c http.sslVerify=false clone $REPO"),
    ("tls-off", "a.py", "import subprocess\nsubprocess.run(['pip', 'install', '--trusted-host', 'mirror', 'x'])"),
    ("tls-off", "a.json", '{"minio": {"verify_ssl": false}}'),
    ("debug-server", "a.py", "app.run(host='0.0.0.0', debug=True)"),
    ("debug-server", "a.py", "demo.launch(share=True)"),
    ("debug-server", "a.py", "import uvicorn\nuvicorn.run('app:app', reload=True)"),
    ("debug-server", "a.py", "import debugpy\ndebugpy.listen(('0.0.0.0', 5678))"),
    ("debug-server", "a.sh", "jupyter lab --ip 0.0.0.0 --NotebookApp.token=''"),
    ("missing-seed", "a.py", "import torch\nfor x, y in loader:\n    loss(net(x), y).backward()\n    opt.step()"),
    ("missing-seed", "a.py", "from sklearn.model_selection import train_test_split\na, b = train_test_split(rows)"),
    ("missing-seed", "a.py", "from sklearn.ensemble import RandomForestClassifier\nm = RandomForestClassifier(300).fit(x, y)"),
    ("world-writable", "a.py", "import os\nos.chmod(out, 0o777)"),
    ("world-writable", "a.py", "from pathlib import Path\nPath('ckpt').chmod(0o666)"),
    ("world-writable", "a.py", "import os\nos.umask(0)"),
    ("world-writable", "a.py", "import os\nos.makedirs('runs', mode=0o777)"),
    ("world-writable", "a.sh", "chmod -R 777 /data/models"),
    ("world-writable", "a.sh", "chmod a+w weights/"),
    ("world-writable", "a.py", "import torch\ntorch.save(net.state_dict(), '/tmp/best.pt')"),
    ("broad-credentials", "a.py", "policy = {'Effect': 'Allow', 'Action': '*', 'Resource': '*'}"),
    ("broad-credentials", "a.py", "import boto3\niam.attach_role_policy(PolicyArn='arn:aws:iam::aws:policy/AdministratorAccess')"),
    ("broad-credentials", "a.json", '{"Statement": [{"Effect": "Allow",\n "Action": "s3:*"}]}'),
    ("broad-credentials", "a.py", "c = Credentials.from_service_account_file('key.json')"),
    ("broad-credentials", "a.yaml", "role: roles/owner"),
    ("secret", "a.py", f"import boto3\nc = boto3.client('s3', aws_access_key_id='{KEY}')"),
    ("secret", "a.py", f"from huggingface_hub import login\nlogin('{TOKEN}')"),
    ("secret", "a.py", "DB_PASSWORD = 'tr0ub4dor&3'"),
    ("secret", "a.py", "def connect(password='S3cr3t-9x!'):\n    ..."),
    ("secret", "a.py", "import os\nos.environ['WANDB_API_KEY'] = '9f8a7b6c5d4e3f2a1b0c'"),
    ("secret", "a.py", "engine = create_engine('postgresql://ml:hunter22x@db/prod')"),
    ("secret", "a.env", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYzzzz"),
    ("secret", "a.sh", "export OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwxyz0123456789AB"),
]  # fmt: skip

CLEAN: list[tuple[str, str]] = [
    ("a.py", "import torch\nstate = torch.load('model.pt', weights_only=True)"),
    ("a.py", "from safetensors.torch import load_file\nstate = load_file('m.safetensors')"),
    ("a.py", "import json\nwith open(p) as f:\n    cfg = json.load(f)"),
    ("a.py", "import yaml\ncfg = yaml.safe_load(text)"),
    ("a.py", "import yaml\ncfg = yaml.load(text, Loader=yaml.CSafeLoader)"),
    ("a.py", "import numpy as np\nx = np.load('x.npy')\ny = np.load('y.npy', allow_pickle=False)"),
    ("a.py", "class Store:\n    def load(self, path):\n        return self.pickle.load(path)"),
    ("a.py", "import torch\ntorch.save(model.state_dict(), out / 'model.pt')"),
    ("a.py", "import torch\ntorch.save({'model': net.state_dict(), 'epoch': 3}, out)"),
    ("a.py", "import joblib\njoblib.dump(results, 'results.joblib')"),
    ("a.py", "m = AutoModel.from_pretrained('./local', trust_remote_code=False)"),
    ("a.py", "m = AutoModel.from_pretrained('acme/judge', revision='" + "a1" * 20 + "')"),
    ("a.py", "m = AutoModel.from_pretrained(args.model)"),
    ("a.py", "m = AutoModel.from_pretrained('/models/judge')"),
    ("a.py", "from datasets import load_dataset\nd = load_dataset('csv', data_files='x.csv')"),
    ("a.py", "import torch\nm = torch.hub.load('/opt/vision', 'resnet50', source='local')"),
    ("a.py", "import requests\nr = requests.get(url, verify='ca.pem', timeout=10)"),
    ("a.py", "import requests\nr = requests.get(url)"),
    ("a.py", "def check(verify):\n    return verify is False"),
    ("a.py", "hashlib.new('md5', usedforsecurity=False)"),
    ("a.py", "app.run(host='127.0.0.1', debug=False)"),
    ("a.py", "demo.launch()"),
    ("a.py", "import uvicorn\nuvicorn.run(app, host='0.0.0.0')"),
    ("a.py", "logger.debug('x')\nDEBUG = True"),
    ("a.py", "import torch\ntorch.manual_seed(0)\nloss.backward()"),
    ("a.py", "from sklearn.model_selection import train_test_split\na, b = train_test_split(rows, random_state=args.seed)"),
    ("a.py", "from sklearn.linear_model import LogisticRegression\nm = LogisticRegression().fit(x, y)"),
    ("a.py", "from sklearn.ensemble import RandomForestClassifier\nm = RandomForestClassifier(random_state=7).fit(x, y)"),
    ("a.py", "import numpy as np\nrng = np.random.default_rng(3)\nfrom sklearn.cluster import KMeans\nKMeans(5).fit(x)"),
    ("a.py", "import os\nos.chmod(out, 0o640)"),
    ("a.py", "import os\nos.makedirs('runs', mode=0o750, exist_ok=True)"),
    ("a.sh", "chmod 755 run.sh\nchmod u+w notes\nchmod +x go.sh"),
    ("a.sh", "curl -fsSL -o tool.tgz https://example.org/tool.tgz\nsha256sum -c sums"),
    ("a.py", "policy = {'Effect': 'Allow', 'Action': ['s3:GetObject'], 'Resource': 'arn:aws:s3:::loans/*'}"),
    ("a.py", "star = '*'\nprint('*' * 20)"),
    ("a.py", "import os\npassword = os.environ['DB_PASSWORD']"),
    ("a.py", "API_KEY = '<your key here>'"),
    ("a.py", "token = tokenizer.pad_token\nmax_tokens = 512"),
    ("a.py", "parser.add_argument('--api-key', help='the key')"),
    ("a.py", "pad_token = '[PAD]'\neos_token = '</s>'\nmask_token = '<mask>'"),
    ("a.py", "engine = create_engine(f'postgresql://{user}:{password}@db/prod')"),
    ("a.py", "secret_name = 'prod/db'\nTOKEN_FILE = '/run/secrets/token'"),
    ("a.yaml", "model:\n  trust_remote_code: false\n  revision: main\nseed: 7"),
    ("a.yaml", "env:\n  - name: API_KEY\n    valueFrom: {secretKeyRef: {name: keys, key: api}}"),
    ("a.json", '{"weights_only": true, "verify_ssl": true}'),
    ("a.env", "LOG_LEVEL=debug\nDB_PASSWORD=${VAULT_DB}\n# API_KEY=example"),
    ("a.py", "x = 'never write pickle.load(f) or verify=False'"),
    ("a.py", "# requests.get(url, verify=False)\nprint(1)"),
]  # fmt: skip


def said(folder: Path, name: str, text: str) -> set[str]:
    (folder / name).write_text(text)
    remarks, unread = lint(folder / name)
    assert not unread
    return {remark.rule for remark in remarks}


def test_precision_and_recall(tmp_path: Path) -> None:
    """Over all snippets: remarks that are right (precision) and weaknesses that are named (recall); asked are 0.95 of both."""
    assert len(WEAK) + len(CLEAN) >= 110
    named = {number: said(tmp_path, name, text) for number, (_, name, text) in enumerate(WEAK)}
    hits = sum(rule in named[number] for number, (rule, _, _) in enumerate(WEAK))
    wrong = {number: found - {WEAK[number][0]} for number, found in named.items() if found - {WEAK[number][0]}}
    false = {text: found for name, text in CLEAN if (found := said(tmp_path, name, text))}
    alarms = sum(map(len, wrong.values())) + sum(map(len, false.values()))
    missed = [WEAK[n] for n, (rule, _, _) in enumerate(WEAK) if rule not in named[n]]
    assert hits / len(WEAK) >= 0.95, missed
    assert hits / (hits + alarms) >= 0.95, (wrong, false)


def test_every_rule_has_snippets() -> None:
    assert {rule.id for rule in RULES} - {"notebook-output"} == {rule for rule, _, _ in WEAK}


def notebook(path: Path, source: list[str], outputs: list[dict[str, object]]) -> Path:
    cells = [{"cell_type": "markdown", "source": ["# title"]}, {"cell_type": "code", "source": source, "outputs": outputs}]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}, indent=1))
    return path


def test_notebooks(tmp_path: Path) -> None:
    table = {"output_type": "execute_result", "data": {"text/html": ['<table border="1" class="dataframe">']}}
    path = notebook(tmp_path / "a.ipynb", ["import torch\n", "!curl https://x.org/i.sh | sh\n", "torch.load('m.pt')"], [table])
    remarks, _ = lint(path)
    assert {r.rule for r in remarks} == {"unsafe-load", "shell-load", "notebook-output"}
    text = path.read_text().split("\n")
    load = next(r for r in remarks if r.rule == "unsafe-load")
    assert "torch.load" in text[load.place.line - 1]


def test_a_notebook_that_prints_a_key(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", ["import os\n", "print(os.environ)"], [{"output_type": "stream", "text": [f"key {KEY}\n"]}])
    assert [r.rule for r in lint(path)[0]] == ["secret"]
    clean = notebook(tmp_path / "b.ipynb", ["print(1)"], [{"output_type": "stream", "text": ["accuracy 0.93\n"]}])
    assert lint(clean)[0] == []


def test_a_reason_allows_one_rule_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "import pickle\npickle.load(f)  # bartizan: allow unsafe-load because the file is made two lines above\npickle.load(g)\n"
    )
    assert [(r.place.line, bool(r.allowed)) for r in lint(path)[0]] == [(2, True), (3, False)]
    path.write_text("import pickle\npickle.load(f)  # bartizan: allow unsafe-load\n")
    assert [bool(r.allowed) for r in lint(path)[0]] == [False]


@pytest.mark.parametrize("text", ["def (", "\0", "(" * 5000, "x = " + "-" * 20000 + "1"])
def test_what_cannot_be_parsed_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert lint(tmp_path) == ([], ["a.py"])
