"""Ansible's modules for what ECS needs: a second run changes nothing, and it is taken away again.

`scripts/prerequisites --tests` brings Ansible and the two collections (identity J, 7).
"""

import json
import os
import re
import subprocess
import sys

from harness.cases import ServerCase
from harness.tools import TOOLS, only_at_night, require_tool
from harness.wait import STRETCH

ANSIBLE = TOOLS / "ansible"

# Only the endpoint's environment tells the modules where they are.
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ lookup('env', 'PYTHON') }}"
    trust:
      Version: "2012-10-17"
      Statement:
        - {Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: ecs-tasks.amazonaws.com}}
    containers:
      - name: web
        image: longshore/web:1
        essential: true
        memory: 64
        portMappings: [{containerPort: 8080}]
        environment: [{name: TEAM, value: "{{ team }}"}]
        secrets: [{name: DB, valueFrom: "{{ secret.arn | default('x') }}"}]
  tasks:
    - name: policy
      amazon.aws.iam_managed_policy:
        name: ansible-read
        description: reads
        policy:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "secretsmanager:GetSecretValue", Resource: "*", Sid: "{{ team }}"}]
        state: present
      register: policy
    - name: role
      amazon.aws.iam_role:
        name: ansible-task
        description: "of {{ team }}"
        assume_role_policy_document: "{{ trust }}"
        managed_policies: ["{{ policy.policy.arn }}"]
        tags: {Team: "{{ team }}"}
      register: role
    - name: inline policy
      amazon.aws.iam_policy:
        iam_type: role
        iam_name: ansible-task
        policy_name: own
        policy_json:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "ecs:List*", Resource: "*", Sid: "{{ team }}"}]
        state: present
    - name: secret
      community.aws.secretsmanager_secret:
        name: ansible/db
        description: "of {{ team }}"
        json_secret: {password: "{{ team }}"}
        tags: {Team: "{{ team }}"}
      register: secret
    - name: parameter
      community.aws.ssm_parameter: {name: /ansible/token, string_type: SecureString, value: "{{ team }}"}
    - name: vpcs
      amazon.aws.ec2_vpc_net_info: {filters: {isDefault: "true"}}
      register: vpcs
    - name: subnets
      amazon.aws.ec2_vpc_subnet_info: {filters: {vpc-id: "{{ vpcs.vpcs[0].vpc_id }}"}}
      register: subnets
    - name: security group
      amazon.aws.ec2_security_group:
        name: ansible-web
        description: web
        vpc_id: "{{ vpcs.vpcs[0].vpc_id }}"
        rules: [{proto: tcp, ports: [8080], cidr_ip: 0.0.0.0/0, rule_desc: "{{ team }}"}]
      register: group
    - name: cluster
      community.aws.ecs_cluster:
        name: "{{ cluster }}"
        state: present
        capacity_providers: [FARGATE]
        capacity_provider_strategy: [{capacity_provider: FARGATE, weight: 1}]
    - name: task definition
      community.aws.ecs_taskdefinition:
        family: ansible-web
        state: present
        launch_type: FARGATE
        network_mode: awsvpc
        cpu: "256"
        memory: "512"
        task_role_arn: "{{ role.iam_role.arn }}"
        execution_role_arn: "{{ role.iam_role.arn }}"
        containers: "{{ containers }}"
      register: definition
    - name: service
      community.aws.ecs_service:
        name: web
        cluster: "{{ cluster }}"
        state: present
        task_definition: "{{ definition.taskdefinition.family }}:{{ definition.taskdefinition.revision }}"
        desired_count: 1
        launch_type: FARGATE
        network_configuration:
          subnets: "{{ subnets.subnets | map(attribute='subnet_id') | sort }}"
          security_groups: ["{{ group.group_id }}"]
          assign_public_ip: true
    - name: look
      community.aws.ecs_service_info: {cluster: "{{ cluster }}", service: web, details: true}
      register: looked
    - name: what is there
      ansible.builtin.assert:
        that:
          - subnets.subnets | length == 3
          - looked.services[0].status == 'ACTIVE'
          - looked.services[0].taskDefinition == definition.taskdefinition.taskDefinitionArn
"""

AWAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ lookup('env', 'PYTHON') }}"
  tasks:
    - name: service
      community.aws.ecs_service: {name: web, cluster: "{{ cluster }}", state: absent, force_deletion: true}
    - name: task definition
      community.aws.ecs_taskdefinition: {arn: "{{ definition }}", containers: [{name: web, image: web}], state: absent}
    - name: cluster
      community.aws.ecs_cluster: {name: "{{ cluster }}", state: absent}
    - name: security group
      amazon.aws.ec2_security_group: {name: ansible-web, state: absent}
    - name: parameter
      community.aws.ssm_parameter: {name: /ansible/token, state: absent}
    - name: secret
      community.aws.secretsmanager_secret: {name: ansible/db, state: absent, recovery_window: 0}
    - name: role
      amazon.aws.iam_role: {name: ansible-task, state: absent}
    - name: policy
      amazon.aws.iam_managed_policy: {name: ansible-read, state: absent}
"""

LOOKS = {"vpcs", "subnets", "look", "what is there"}


def setUpModule():
    only_at_night()


class Ansible(ServerCase):
    @classmethod
    def setUpClass(cls):
        require_tool(ANSIBLE / "bin" / "ansible-playbook", "Ansible")
        super().setUpClass()

    def play(self, text, **variables):
        """Runs the play; what each of its tasks ended with: `{name: ok or changed}`."""
        play = self.directory / "play.yml"
        play.write_text(text)
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        environment = {
            **kept, **self.plane.env, "HOME": str(self.directory), "PYTHONPATH": str(ANSIBLE), "PYTHON": sys.executable,
            "LC_ALL": "C.UTF-8", "ANSIBLE_COLLECTIONS_PATH": str(ANSIBLE), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
        }
        variables = {"cluster": self.cluster, **variables}
        done = subprocess.run(
            [sys.executable, ANSIBLE / "bin" / "ansible-playbook", "-e", json.dumps(variables), play],
            env=environment, capture_output=True, text=True, timeout=300 * STRETCH, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.findall(r"^TASK \[(.+?)\] \*+\n(?:.*\n)*?(ok|changed): \[localhost\]", done.stdout, re.MULTILINE)
        self.assertEqual(len(found), text.count("\n    - name: "), done.stdout)
        return dict(found)

    def test_a_second_run_changes_nothing(self):
        first = self.play(PLAY, team="red")
        self.assertEqual({name for name, ended in first.items() if ended == "ok"}, LOOKS)
        again = self.play(PLAY, team="red")
        self.assertEqual({name for name, ended in again.items() if ended == "changed"}, set())
        secret = self.client_of("secretsmanager").get_secret_value(SecretId="ansible/db")
        self.assertEqual(json.loads(secret["SecretString"]), {"password": "red"})
        gone = self.play(AWAY, definition=self.service("web")["taskDefinition"])
        self.assertEqual({name for name, ended in gone.items() if ended == "ok"}, set())
        self.refused("NoSuchEntity", "ansible-task", self.client_of("iam").get_role, RoleName="ansible-task")
