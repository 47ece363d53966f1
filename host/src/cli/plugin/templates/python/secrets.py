from coffer import answer, config, guarded, refuse
from wit_world import exports


@guarded
class Plugin(exports.Plugin):
    def check(self):
        """Called before a version or a configuration goes live: notes for the operator, or a refusal."""
        return []


@guarded
class Engine(exports.Engine):
    def handle(self, request):
        match request.operation:
            case "read":
                return answer({"said": f"{config()['greeting']} {request.path}"})
            case _:
                raise refuse("unsupported")
